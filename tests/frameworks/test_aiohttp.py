"""aiohttp's own server, on a free port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

import otel_obs
from otel_obs.frameworks.known import framework_of
from tests.apps import frameworks as apps
from tests.frameworks.test_frameworks import endpoints, scrape
from tests.support.processes import Service, tool
from tests.support.samples import Samples, parse_samples

pytestmark = pytest.mark.usefixtures("service_of_its_own")


async def ask(app: Any, *paths: str) -> list[tuple[int, bytes]]:
    async with TestServer(app) as server, ClientSession() as session:
        answers = []
        for path in paths:
            async with session.get(server.make_url(path)) as answer:
                answers.append((answer.status, await answer.read()))
        return answers


def samples_of(answer: tuple[int, bytes]) -> Samples:
    return parse_samples(answer[1].decode())


def test_routes_errors_and_a_scrape() -> None:
    app = otel_obs.instrument(apps.aiohttp())
    asked = ("/items/1", "/items/2", "/boom", "/gone", "/stream", "/sub/x", "/nope", "/items/x", "/metrics")
    answers = asyncio.run(ask(app, *asked))
    assert [status for status, _ in answers] == [200, 200, 500, 410, 200, 410, 404, 404, 200]
    samples = samples_of(answers[-1])
    assert endpoints(samples) == {
        ("/items/{number}", "200"): 2,
        ("/boom", "500"): 1,
        ("/gone", "410"): 1,
        ("/stream", "200"): 1,
        ("/sub/{name}", "410"): 1,
        ("__unmatched__", "404"): 2,
    }
    assert samples.value("errors_total", component="http", error_type="LookupError") == 1
    assert samples.value("http_requests_in_progress", method="GET") == 0


def test_a_websocket_is_a_connection() -> None:
    async def talk(app: Any) -> int | None:
        async with (
            TestServer(app) as server,
            ClientSession() as session,
            session.ws_connect(server.make_url("/talk")) as connection,
        ):
            await connection.send_str("x")
            assert await connection.receive_str() == "x"
            await connection.receive()
            return connection.close_code

    assert asyncio.run(talk(otel_obs.instrument(apps.aiohttp()))) == 4001
    samples = scrape()
    assert samples.labels("http_requests_total") == []
    assert samples.value("websocket_connections_total", endpoint="/talk", close_code="4001") == 1
    assert samples.value("websocket_connections_open", endpoint="/talk") == 0
    for direction in ("in", "out"):
        assert samples.value("websocket_messages_total", endpoint="/talk", direction=direction) == 1


def test_an_application_is_recognised_and_left_as_it_was() -> None:
    app = apps.aiohttp()
    before = web.Application._handle
    framework = framework_of(app)
    assert framework is not None
    assert framework.name == "aiohttp"
    otel_obs.instrument(app)
    assert web.Application._handle is not before
    otel_obs.shutdown()
    assert web.Application._handle is before


def test_its_own_url_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS", "items")
    app = otel_obs.instrument(apps.aiohttp())
    asyncio.run(ask(app, "/items/1", "/gone"))
    assert endpoints(scrape()) == {("/gone", "410"): 1}


SERVED = """
import sys
from aiohttp import web
from tests.apps.frameworks import aiohttp

web.run_app(aiohttp(), host="127.0.0.1", port=int(sys.argv[1]))
"""


@pytest.mark.parametrize("server", ["run_app", "gunicorn"])
def test_under_the_wrapper(server: str, tmp_path: Path) -> None:
    commands = {
        "run_app": ("python", "-c", SERVED, "{port}"),
        "gunicorn": (
            *("gunicorn", "-b", "127.0.0.1:{port}", "-w", "2", "-k", "aiohttp.GunicornWebWorker"),
            "tests.apps.frameworks:make_aiohttp",
        ),
    }
    name, *options = commands[server]
    wrapped = (tool("opentelemetry-instrument"), tool(name), *options)
    root = Path(__file__).parents[2]
    with Service(*wrapped, cwd=root, log_file=tmp_path / "log", ready_path="/items/0") as service:
        before = endpoints(service.scrape())["/items/{number}", "200"]
        assert [service.get(path).status for path in ("/items/1", "/boom", "/nope")] == [200, 500, 404]
        assert endpoints(service.scrape()) == {
            ("/items/{number}", "200"): before + 1,
            ("/boom", "500"): 1,
            ("__unmatched__", "404"): 1,
        }
