"""Which part of a prefix the process mounts itself, and which a proxy or the server has put before it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from otel_obs.http import prefixes
from otel_obs.http.prefixes import MOUNT, NO_PREFIX, Prefix, asgi_prefix, wsgi_prefix
from tests.http import drive


@pytest.fixture(autouse=True)
def _no_mounts_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "_mounts", {})
    monkeypatch.delenv("SCRIPT_NAME", raising=False)
    prefixes._server_prefix.cache_clear()


def seen_by_wsgi(path: str, *, mount: str = "", **environ: str) -> Prefix:
    """The prefix that an application finds in a dispatcher, or else behind a proxy's header."""
    found: list[Prefix] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        found.append(wsgi_prefix(environ))
        start_response("200 OK", [])
        return []

    served = DispatcherMiddleware(app, {mount: app}) if mount else ProxyFix(app, x_prefix=1)
    drive.wsgi(served, path, **environ)  # type: ignore[arg-type]
    return found[0]


TARGETS: list[str | None] = ["RAW_URI", "REQUEST_URI", None]


@pytest.mark.parametrize("target", TARGETS)
def test_a_proxys_prefix_is_no_mount(target: str | None) -> None:
    told = {target: "/items/1?a=b"} if target else {}
    assert seen_by_wsgi("/items/1", HTTP_X_FORWARDED_PREFIX="/shop", **told) == Prefix("/shop")


@pytest.mark.parametrize("target", TARGETS)
def test_a_dispatchers_prefix_is_a_mount(target: str | None) -> None:
    told = {target: "/api/items/1?a=b"} if target else {}
    assert seen_by_wsgi("/api/items/1", mount="/api", **told) == Prefix("", "/api")


def test_without_a_prefix_there_is_none() -> None:
    assert seen_by_wsgi("/items/1") == NO_PREFIX


@pytest.mark.parametrize(
    ("script", "expected"), [("/shop/api", ("/shop", "/api")), ("/shopping", ("", "/shopping"))]
)
def test_the_servers_prefix_ends_at_a_slash(
    script: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPT_NAME", "/shop/")
    assert wsgi_prefix({"SCRIPT_NAME": script, "PATH_INFO": "/x"}) == Prefix(*expected)


def test_a_mount_of_each_customer_is_one() -> None:
    found = {wsgi_prefix({"SCRIPT_NAME": f"/c{number}"}).mount for number in range(100)}
    assert found == {*(f"/c{number}" for number in range(prefixes.MOST_MOUNTS)), MOUNT}


def test_a_root_path_that_a_layer_has_from_a_header_is_no_mount() -> None:
    given = drive.scope("/items/1")
    assert asgi_prefix({**given, "root_path": "/shop"}, given) == Prefix("/shop")


def test_a_root_path_that_the_path_begins_with_is_a_mount() -> None:
    given = drive.scope("/api/items/1")
    assert asgi_prefix({**given, "root_path": "/api"}, given) == Prefix("", "/api")
    given = drive.scope("/shop/api/items/1", root_path="/shop")
    assert asgi_prefix({**given, "root_path": "/shop/api"}, given) == Prefix("/shop", "/api")


def test_the_prefix_that_an_application_is_set_to_is_no_mount() -> None:
    app = Starlette(routes=[Mount("/in", Starlette())])
    app.root_path = "/shop"  # type: ignore[attr-defined]
    given = drive.scope("/shop/in/x")
    assert asgi_prefix({**given, "app": app, "root_path": "/shop"}, given) == Prefix("/shop")
