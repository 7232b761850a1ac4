"""A WSGI application that says which worker has answered."""

import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"slot={os.environ['BROOD_SLOT']} pid={os.getpid()}\n".encode()]
