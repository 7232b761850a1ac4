"""A WSGI application that says which process answers."""

import os


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {os.environ.get('BROOD_SLOT', '-')}\n".encode()]
