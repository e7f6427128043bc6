"""Whatever clients send does not become series: however many requests of noise add at most twenty."""

from __future__ import annotations

import asyncio
import http.client
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask

import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask
from otel_obs.http.profiles import Profile, SemconvProfile
from otel_obs.http.wsgi import WsgiMiddleware
from tests.http import drive
from tests.http.recorded import Recorded
from tests.support.long import wants_full_length
from tests.support.processes import Service, tool

REQUESTS = 100_000 if wants_full_length() else 20_000
MOST_SERIES = 20
SPOKEN = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
ROOT = Path(__file__).parents[2]


def noise() -> str:
    return f"{random.getrandbits(64):x}"


def noisy_method() -> str:
    return random.choice(SPOKEN) if random.random() < 0.5 else noise().upper()


def noisy_path() -> str:
    return f"/{noise()}/{noise()}"


def wsgi_noise(app: Any) -> None:
    template = drive.environ()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return None

    for _ in range(REQUESTS):
        environ = {
            **template,
            "PATH_INFO": noisy_path(),
            "REQUEST_METHOD": noisy_method(),
            "QUERY_STRING": noise(),
            "HTTP_HOST": noise(),
            "HTTP_USER_AGENT": noise(),
            "HTTP_X_FORWARDED_PREFIX": noise(),
            "HTTP_" + noise().upper(): noise(),
        }
        answer = app(environ, start_response)
        close = getattr(answer, "close", None)
        if close is not None:
            close()


def asgi_noise(app: Any) -> None:
    template = drive.scope()

    async def receive() -> Any:
        return drive.END

    async def send(message: Any) -> None:
        return None

    async def run() -> None:
        for _ in range(REQUESTS):
            path = noisy_path()
            headers = [(b"host", noise().encode()), (noise().encode(), noise().encode())]
            extra = {"query_string": noise().encode(), "raw_path": path.encode(), "headers": headers}
            await app({**template, "path": path, "method": noisy_method(), **extra}, receive, send)

    asyncio.run(run())


def noisy_flask(recorded: Recorded) -> None:
    app = Flask(__name__)
    app.add_url_rule("/items/<int:number>", "item", lambda number: str(number))
    measured_flask.instrument_app(app, recorded.observer)
    wsgi_noise(app)
    measured_flask.uninstall()


def noisy_fastapi(recorded: Recorded) -> None:
    app = FastAPI()
    app.add_api_route("/items/{number}", lambda number: number)
    measured_fastapi.instrument_app(app, recorded.observer)
    asgi_noise(app)
    measured_fastapi.uninstall()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("naming", [None, SemconvProfile()], ids=["classic", "semconv"])
@pytest.mark.parametrize("served", [noisy_flask, noisy_fastapi], ids=["flask", "fastapi"])
def test_noise_adds_at_most_20_series(served: Callable[[Recorded], None], naming: Profile | None) -> None:
    recorded = Recorded(naming)
    served(recorded)
    assert sum(value.count for _, value in recorded.of("duration")) == REQUESTS
    assert recorded.in_progress() == 0
    assert len(list(recorded.series())) <= MOST_SERIES


@pytest.mark.parametrize("naming", [None, SemconvProfile()], ids=["classic", "semconv"])
def test_what_only_a_proxy_or_a_server_says_adds_no_series_either(naming: Profile | None) -> None:
    recorded = Recorded(naming)

    def unmatched(environ: Any, start_response: Any) -> list[bytes]:
        start_response("404 Not Found", [])
        return [b""]

    app = WsgiMiddleware(unmatched, recorded.observer)
    for _ in range(3000):
        environ = {"SCRIPT_NAME": "/" + noise(), "wsgi.url_scheme": random.choice(["http", noise()])}
        drive.wsgi(app, noisy_path(), noisy_method(), **environ)  # type: ignore[arg-type]
    assert len(list(recorded.series())) <= MOST_SERIES


SERVERS = {
    "gunicorn": ("gunicorn", "-b", "127.0.0.1:{port}", "-k", "gthread", "tests.apps.leaving_flask:app"),
    "uvicorn": ("uvicorn", "--port", "{port}", "--http", "h11", "tests.apps.leaving_fastapi:app"),
    "hypercorn": ("hypercorn", "-b", "127.0.0.1:{port}", "tests.apps.leaving_fastapi:app"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_noise_through_a_real_server(server: str, tmp_path: Path) -> None:
    command = tool(SERVERS[server][0]), *SERVERS[server][1:]
    with Service(*command, cwd=ROOT, log_file=tmp_path / "log") as service:
        before = len(service.scrape().labels("http_requests_total"))
        for _ in range(500):
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
            headers = {"Host": noise(), noise(): noise(), "X-Forwarded-Host": noise()}
            with suppress(http.client.HTTPException, ConnectionError):
                connection.request(noisy_method(), f"{noisy_path()}?{noise()}", headers=headers)
                connection.getresponse().read()
            connection.close()
        samples = service.scrape()
    assert samples.total("http_requests_total") >= 250
    assert samples.total("http_requests_in_progress") == 0
    assert len(samples.labels("http_requests_total")) - before <= len(SPOKEN) + 1
