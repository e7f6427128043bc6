"""The services of `throughput`: one handler that burns a millisecond of processor time, bare and measured."""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask

BURNED_S = 0.001


def burn() -> str:
    """Work for a millisecond; time that others have the processor does not count."""
    end_s = thread_time() + BURNED_S
    while thread_time() < end_s:
        pass
    return "burned"


def bare_flask() -> Flask:
    """Nothing of ours is imported."""
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/burn/<int:number>", "burn", lambda number: burn())
    return app


def measured_flask() -> Flask:
    """The same, measured."""
    import otel_obs

    return otel_obs.instrument(bare_flask())


def bare_fastapi() -> FastAPI:
    """Nothing of ours is imported."""
    from fastapi import FastAPI, Response

    app = FastAPI()

    @app.get("/burn/{number}")
    async def answer(number: int) -> Response:
        return Response(burn())

    return app


def measured_fastapi() -> FastAPI:
    """The same, measured."""
    import otel_obs

    return otel_obs.instrument(bare_fastapi())
