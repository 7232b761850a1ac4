"""A WSGI application with metrics of its own, on a port for its process."""

import os

import prometheus_client

requests = prometheus_client.Counter("app_requests", "Requests.", ["path"])
requests.labels("/")
prometheus_client.start_http_server(int(os.environ["METRICS_PORT"]), addr="127.0.0.1")


def app(environ, start_response):
    requests.labels(environ["PATH_INFO"]).inc(exemplar={"trace_id": "abc"})
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"counted\n"]
