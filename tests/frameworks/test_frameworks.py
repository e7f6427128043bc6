"""Each framework by its own routes: in one line, and under the wrapper on a real server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

import otel_obs
from otel_obs.frameworks.django import template_of
from otel_obs.frameworks.known import FRAMEWORKS, framework_of, framework_within
from tests.apps import frameworks as apps
from tests.http import drive
from tests.support.processes import Service, tool
from tests.support.samples import Samples, parse_samples
from tests.support.waiting import until

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*inferred style"),
    pytest.mark.usefixtures("service_of_its_own"),
]

ROOT = Path(__file__).parents[2]
WSGI = {"django_wsgi", "falcon_wsgi", "bottle"}
ITEMS = {
    "django_wsgi": "/items/<int:number>",
    "django_asgi": "/items/<int:number>",
    "quart": "/items/<int:number>",
    "litestar": "/items/{number}",
    "falcon_wsgi": "/items/{number:int}",
    "falcon_asgi": "/items/{number:int}",
    "bottle": "/items/<number:int>",
}
ERRORS = {name: "KeyError" if name == "bottle" else "LookupError" for name in ITEMS}


def scrape() -> Samples:
    return parse_samples(otel_obs.get_metrics()[0].decode())


def endpoints(samples: Samples) -> dict[tuple[str, str], float]:
    return {
        (labels["endpoint"], labels["status_code"]): samples.value("http_requests_total", **labels)
        for labels in samples.labels("http_requests_total")
    }


def ask(name: str, app: Any, *paths: str) -> None:
    for path in paths:
        with suppress(LookupError):
            if name in WSGI:
                drive.wsgi(app, path)
            else:
                asyncio.run(ask_asgi(app, path))


async def ask_asgi(app: Any, path: str) -> None:
    client = drive.Client(drive.END)
    await app(drive.scope(path), client.receive, client.send)


@pytest.mark.parametrize("name", ITEMS)
def test_in_one_line(name: str) -> None:
    app = getattr(apps, name)()
    assert otel_obs.instrument(app) is app
    ask(name, app, "/items/1", "/items/2", "/boom", "/nope")
    samples = scrape()
    assert endpoints(samples) == {
        (ITEMS[name], "200"): 2,
        ("/boom", "500"): 1,
        ("__unmatched__", "404"): 1,
    }
    assert samples.value("errors_total", component="http", error_type=ERRORS[name]) == 1


@pytest.mark.parametrize("name", ITEMS)
def test_whatever_is_around_it(name: str) -> None:
    app = getattr(apps, name)()
    wrapped: Any
    if name in WSGI:
        wrapped = otel_obs.instrument(lambda environ, start_response: app(dict(environ), start_response))
    else:

        async def copying(scope: Any, receive: Any, send: Any) -> None:
            await app(dict(scope), receive, send)

        wrapped = otel_obs.instrument(copying)
    ask(name, wrapped, "/items/1", "/nope")
    assert endpoints(scrape()) == {(ITEMS[name], "200"): 1, ("__unmatched__", "404"): 1}


@pytest.mark.parametrize("name", ITEMS)
def test_nothing_is_left_after_shutdown(name: str) -> None:
    app = getattr(apps, name)()
    before = type(app).__call__
    otel_obs.instrument(app)
    assert type(app).__call__ is not before
    otel_obs.shutdown()
    assert type(app).__call__ is before


@pytest.mark.parametrize("name", ITEMS)
def test_an_application_is_recognised_by_what_it_is(name: str) -> None:
    app = getattr(apps, name)()
    framework = framework_of(app)
    assert framework is not None
    assert framework.name == name.partition("_")[0]
    assert framework_within(ProxyFix(app)) is framework


@pytest.mark.parametrize("name", ["quart", "litestar", "falcon_wsgi", "falcon_asgi"])
def test_an_exception_that_a_handler_answers_is_no_error(name: str) -> None:
    app = otel_obs.instrument(getattr(apps, name)())
    ask(name, app, "/refused")
    samples = scrape()
    assert endpoints(samples) == {("/refused", "409"): 1}
    assert not samples.labels("errors_total")


@pytest.mark.parametrize(("name", "code"), [("quart", "1000"), ("litestar", "4500")])
def test_an_exception_in_a_websocket_is_an_error(name: str, code: str) -> None:
    """Both close the connection themselves, each with a code of its own."""
    app = otel_obs.instrument(getattr(apps, name)())
    scope = drive.scope("/talk/7", kind="websocket", subprotocols=[], state={})
    del scope["method"]
    client = drive.Client({"type": "websocket.connect"})
    asyncio.run(app(scope, client.receive, client.send))
    samples = scrape()
    endpoint = "/talk/{number}" if name == "litestar" else "/talk/<int:number>"
    assert samples.value("websocket_connections_total", endpoint=endpoint, close_code=code) == 1
    assert samples.value("errors_total", component="http", error_type="LookupError") == 1


def test_what_django_matches() -> None:
    app = otel_obs.instrument(apps.django_wsgi())
    for path in ("/years/2020/", "/years/20/", "/api/later/1", "/api/old/7", "/slash"):
        drive.wsgi(app, path)
    assert endpoints(scrape()) == {
        ("/years/<number>/", "200"): 1,
        ("/api/later/<int:number>", "200"): 1,
        ("/api/old/<var>", "200"): 1,
        ("__unmatched__", "404"): 1,
        ("__unmatched__", "301"): 1,
    }


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("items/<int:number>/", "/items/<int:number>/"),
        ("", "/"),
        (r"^articles/(?P<year>[0-9]{4})/(?P<slug>[\w-]+)/$", "/articles/<year>/<slug>/"),
        (r"^a/(?:page-(?P<page>\d+)/)?$", "/a/page-<page>/"),
        (r"api/^v1\.0/(\d+)\Z", "/api/v1.0/<var>"),
        (r"^x/(?P<y>(a|b)\))/z$", "/x/<y>/z"),
        ("broken(", "/broken<var>"),
    ],
)
def test_templates_of_djangos_routes(route: str, template: str) -> None:
    assert template_of(route) == template


def test_what_bottle_mounts() -> None:
    app = otel_obs.instrument(apps.bottle())
    drive.wsgi(app, "/sub/x/1")
    assert endpoints(scrape()) == {("/sub/x/<y>", "200"): 1}


def test_every_row_names_what_there_is() -> None:
    for framework in FRAMEWORKS:
        assert (ROOT / "otel_obs" / f"{framework.file.replace('.', '/')}.py").is_file()


SERVED = {
    "gunicorn": ((tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "2"), "django_wsgi"),
    "uvicorn": ((tool("uvicorn"), "--port", "{port}"), "django_asgi"),
    "hypercorn": ((tool("hypercorn"), "-b", "127.0.0.1:{port}"), "quart"),
    "granian": ((tool("granian"), "--interface", "asgi", "--port", "{port}"), "litestar"),
}
UNKNOWN = {
    "gunicorn": ((tool("gunicorn"), "-b", "127.0.0.1:{port}"), "plain_wsgi"),
    "uvicorn": ((tool("uvicorn"), "--interface", "asgi3", "--port", "{port}"), "plain_asgi"),
    "hypercorn": ((tool("hypercorn"), "-b", "127.0.0.1:{port}"), "plain_wsgi"),
    "granian": ((tool("granian"), "--interface", "wsgi", "--port", "{port}"), "plain_wsgi"),
}


def target(server: str, name: str) -> str:
    return f"tests.apps.frameworks:{name}()" if server == "hypercorn" else f"tests.apps.frameworks:{name}_app"


@pytest.mark.parametrize("server", SERVED)
def test_under_the_wrapper(server: str, tmp_path: Path) -> None:
    command, name = SERVED[server]
    wrapped = (tool("opentelemetry-instrument"), *command, target(server, name))
    with Service(*wrapped, cwd=ROOT, log_file=tmp_path / "log", ready_path="/items/0") as service:
        before = endpoints(service.scrape())[ITEMS[name], "200"]
        assert [service.get(path).status for path in ("/items/1", "/boom", "/nope")] == [200, 500, 404]
        assert until(lambda: endpoints(service.scrape()), "a scrape") == {
            (ITEMS[name], "200"): before + 1,
            ("/boom", "500"): 1,
            ("__unmatched__", "404"): 1,
        }


@pytest.mark.parametrize("server", UNKNOWN)
def test_what_no_framework_tells_is_unknown(server: str, tmp_path: Path) -> None:
    command, name = UNKNOWN[server]
    wrapped = (tool("opentelemetry-instrument"), *command, target(server, name))
    with Service(*wrapped, cwd=ROOT, log_file=tmp_path / "log", ready_path="/x") as service:
        service.get("/y")
        found = endpoints(service.scrape())
    assert set(found) == {("__unknown__", "200")}
