"""One application, as WSGI and as ASGI, that counts its requests in the way that MATRIX_WAY names."""

from __future__ import annotations

import os
from typing import Any

WAY = os.environ["MATRIX_WAY"]

if "MATRIX_TITLE" in os.environ:
    import setproctitle

    setproctitle.setproctitle(f"a title of process {os.getpid()}")

if WAY == "prometheus":
    from otel_obs import prometheus

    hits = prometheus.Counter("hits", "Requests")


def _hit() -> str:
    if WAY == "prometheus":
        hits.inc()
    return str(os.getpid())


def make_wsgi() -> Any:
    """The Flask application."""
    from flask import Flask, Response

    made = Flask("counted")
    made.get("/hit")(_hit)
    made.add_url_rule("/health", "health", lambda: str(os.getpid()))
    if WAY == "prometheus":
        made.add_url_rule(
            "/metrics", "metrics", lambda: Response(prometheus.generate_latest(), mimetype="text/plain")
        )
    if WAY == "one line":
        import otel_obs

        otel_obs.instrument(made)
    return made


def make_asgi() -> Any:
    """The FastAPI application."""
    from fastapi import FastAPI, Response

    made = FastAPI()

    @made.get("/hit")
    async def hit() -> str:
        return _hit()

    @made.get("/health")
    async def health() -> str:
        return str(os.getpid())

    if WAY == "prometheus":

        @made.get("/metrics")
        def metrics() -> Response:
            return Response(prometheus.generate_latest(), media_type="text/plain")

    if WAY == "one line":
        import otel_obs

        otel_obs.instrument(made)
    return made
