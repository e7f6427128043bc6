"""A Flask application whose clients do not always wait."""

import time
from collections.abc import Iterator

from flask import Flask, Response, send_file

import otel_obs

app = Flask(__name__)


@app.get("/health")
def health() -> str:
    return "ok"


@app.get("/slow")
def slow() -> str:
    time.sleep(0.6)
    return "at last"


@app.get("/stream/<name>")
def stream(name: str) -> Response:
    def parts() -> Iterator[bytes]:
        for number in range(300):
            yield f"data: {name} {number}\n\n".encode()
            time.sleep(0.02)

    return Response(parts(), mimetype="text/event-stream")


@app.get("/file")
def file() -> Response:
    return send_file(__file__)


otel_obs.instrument(app)
