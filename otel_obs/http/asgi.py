"""The middleware that measures an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from otel_obs.http.asgi_exchange import AsgiExchange
from otel_obs.http.asgi_inside import ENVIRON, inside_wsgi
from otel_obs.http.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK, SETTLED
from otel_obs.http.observe import Observer
from otel_obs.http.outside import say_where
from otel_obs.http.websocket import WebSocket
from otel_obs.serving.aside import answer_aside
from otel_obs.serving.scrape import PartedAnswer, Scrape, ScrapeRequest

AsgiApplication = Callable[[AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]

SEND_BYTES = 256 * 1024
"""The largest piece of an exposition in one message."""


class AsgiMiddleware:
    """Measures an ASGI application and serves `/metrics` beside it.

    Args:
        app: The application.
        observer: Records the requests.
        scrape: Answers scrapes; None serves none.
        exclude: Requests that are not measured; None takes the observer's.
        owns: Called with a path of the scrape; true leaves the request to the application, unmeasured.
    """

    def __init__(
        self,
        app: AsgiApplication,
        observer: Observer,
        scrape: Scrape | None = None,
        *,
        exclude: Exclusion | None = None,
        owns: Callable[[str], bool] | None = None,
    ) -> None:
        self.app = app
        self.observer = observer
        self.scrape = scrape
        self._exclude = observer.exclude if exclude is None else exclude
        self._has_exclusions = bool(self._exclude)
        self._owns = owns
        self._scrape_paths: frozenset[str] = scrape.reserved if scrape else frozenset()
        observer.has_asgi = True

    def end(self) -> None:
        """Pass every request through from now on: after `shutdown`, the server still calls the middleware."""
        self.scrape, self._scrape_paths = None, frozenset()
        self._exclude, self._has_exclusions = Exclusion((), lambda carrier: True), True

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve one request, websocket or lifespan; measure it, unless an outer middleware does."""
        exchange = self.begin(scope, receive, send)
        if exchange is None:
            outer = scope.get(MARK)
            if outer is not None:
                outer.route_in(scope)
            await self.app(scope, receive, send)
        elif exchange is self:
            await self.serve(scope, send)
        else:
            await carry(self.app, exchange, scope)

    def begin(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> Any:
        """Begin to measure.

        Returns:
            None where nothing is measured here; the middleware itself where it is to `serve` a scrape;
            otherwise an exchange, to which `carry` has the application answer.
        """
        try:
            # The usual request, without a further call: nothing encloses, excludes or prefixes it.
            if (
                scope["type"] == "http"
                and MARK not in scope
                and not self._has_exclusions
                and scope["path"] not in self._scrape_paths
                and not scope.get("root_path")
                and ENVIRON not in scope
            ):
                exchange = AsgiExchange()
                exchange.begin(self.observer, scope, receive, send)
                return exchange
            return self._begin(scope, receive, send)
        except Exception as error:
            self.observer.failed("the begin", error)
            return None

    def _begin(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> Any:
        kind = scope["type"]
        if kind == "lifespan":
            self.observer.meets_loop()
        if MARK in scope or (kind != "http" and kind != "websocket"):
            return None
        if ENVIRON in scope:
            inside = inside_wsgi(scope, receive, send)
            if inside is not None:
                return inside
        path = _path(scope)
        is_own = False
        if kind == "http" and path in self._scrape_paths:
            is_own = self._owns is not None and self._owns(path)
            if not is_own and self._is_scrape(scope, path):
                return self
        if is_own or self._excludes(scope):
            scope[MARK] = SETTLED
            return None
        if kind == "websocket":
            return WebSocket(self.observer, scope, receive, send)
        exchange = AsgiExchange()
        exchange.begin(self.observer, scope, receive, send)
        exchange.is_special = self.observer.has_root
        return exchange

    def _is_scrape(self, scope: AsgiScope, path: str) -> bool:
        scrape = self.scrape
        if scrape is None or path not in scrape.paths or scrape.is_inside:
            return False
        raw: bytes = scope.get("raw_path") or b""
        return scrape.is_exact(raw.decode("latin-1"), scope.get("root_path") or "")

    def _excludes(self, scope: AsgiScope) -> bool:
        return self._has_exclusions and self._exclude.covers(scope, scope["path"], lambda: _url(scope))

    async def serve(self, scope: AsgiScope, send: AsgiSend) -> None:
        """Send the answer to a scrape."""
        assert self.scrape is not None
        say_where(self.scrape, self.app)
        answer = await answer_to(self.scrape, scope)
        self.observer.meets_loop()
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        for part in answer.parts:
            # In pieces: a server applies backpressure between messages, and buffers each one whole.
            for start in range(0, len(part), SEND_BYTES):
                piece = part[start : start + SEND_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def carry(app: AsgiApplication, exchange: Any, scope: AsgiScope) -> None:
    """Have an application answer to *exchange*, which `begin` returned for *scope*."""
    try:
        await app(scope, exchange.receive, exchange.send)
    except BaseException as error:
        exchange.fail(error)
        raise
    else:
        if not exchange.is_done:
            exchange.returned()
    finally:
        scope[MARK] = SETTLED


async def answer_to(scrape: Scrape, scope: AsgiScope) -> PartedAnswer:
    """Have *scrape* answer a request, and add the Content-Length."""
    given: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        # A repeated header is one list (RFC 9110, 5.3).
        before, text = given.get(name.lower()), value.decode("latin-1")
        given[name.lower()] = text if before is None else f"{before}, {text}"
    answer = await answer_aside(
        scrape,
        ScrapeRequest(
            scope["method"],
            scope.get("query_string", b"").decode("latin-1"),
            given.get(b"accept", ""),
            given.get(b"accept-encoding", ""),
            given.get(b"authorization", ""),
            given.get(b"x-prometheus-scrape-timeout-seconds", ""),
            _path(scope),
        ),
    )
    if scope["method"] != "HEAD":
        answer.headers.append(("Content-Length", str(answer.size_bytes)))
    return answer


def _path(scope: AsgiScope) -> str:
    """The path after the root path, which some servers leave in `path` and others remove."""
    path: str = scope["path"]
    root = scope.get("root_path")
    return path[len(root) :] if root and path.startswith(root) else path


def _url(scope: AsgiScope) -> str:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{quote(scope['path'])}"
