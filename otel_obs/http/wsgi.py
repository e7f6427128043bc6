"""The middleware that measures a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from wsgiref.util import request_uri

from otel_obs.host.forks import check as check_fork
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK, SETTLED, Outer, enclosing
from otel_obs.http.observe import Observer
from otel_obs.http.outside import say_where
from otel_obs.http.upgrades import note_acceptance
from otel_obs.http.wsgi_exchange import WsgiExchange
from otel_obs.serving.scrape import PartedAnswer, Scrape, ScrapeRequest, run_steps

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_REASONS = {
    200: "OK",
    307: "Temporary Redirect",
    401: "Unauthorized",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


def answer_to(scrape: Scrape, environ: WSGIEnvironment) -> PartedAnswer:
    """Have *scrape* answer a request, and add the Content-Length."""
    steps = scrape.steps(
        ScrapeRequest(
            environ["REQUEST_METHOD"],
            environ.get("QUERY_STRING", ""),
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
            environ.get("HTTP_AUTHORIZATION", ""),
            environ.get("HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS", ""),
            environ.get("PATH_INFO", ""),
        )
    )
    answer = run_steps(steps)
    if environ["REQUEST_METHOD"] != "HEAD":
        answer.headers.append(("Content-Length", str(answer.size_bytes)))
    return answer


IsOwnPath = Callable[[str], bool]
"""Called with a path; true if the application itself has a route of exactly that path."""


def serve_inside(
    outer: Outer, environ: WSGIEnvironment, start_response: StartResponse, app: WSGIApplication
) -> Iterable[bytes]:
    """Serve a request that an outer middleware measures, and have it read the route at `start_response`.

    After its answer, the framework has forgotten the route.
    """
    if outer.is_done:
        return app(environ, start_response)
    outer.enter(environ)

    def announcing(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable[[bytes], object]:
        outer.look()
        return start_response(status, headers, *failure)

    return app(environ, announcing)


class WsgiMiddleware:
    """Measures a WSGI application and serves `/metrics` beside it.

    Args:
        app: The application.
        observer: Records the requests.
        scrape: Answers scrapes; None serves none.
        exclude: Requests that are not measured; None takes the observer's.
        owns: Called with a path of the scrape; true leaves the request to the application, unmeasured.
        match: Matches a request again; called only if an exception has made the framework forget the route.
    """

    def __init__(
        self,
        app: WSGIApplication,
        observer: Observer,
        scrape: Scrape | None = None,
        *,
        exclude: Exclusion | None = None,
        owns: IsOwnPath | None = None,
        match: Callable[[WSGIEnvironment], str | None] | None = None,
    ) -> None:
        self.app = app
        self.observer = observer
        self.scrape = scrape
        self._exclude = observer.exclude if exclude is None else exclude
        self._has_exclusions = bool(self._exclude)
        self._owns = owns
        self._match = match
        self._scrape_paths: frozenset[str] = scrape.reserved if scrape else frozenset()
        observer.has_wsgi = True

    def end(self) -> None:
        """Pass every request through from now on: after `shutdown`, the server still calls the middleware."""
        self.scrape, self._scrape_paths = None, frozenset()
        self._exclude, self._has_exclusions = Exclusion((), lambda carrier: True), True

    def __call__(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        app: WSGIApplication | None = None,
    ) -> Iterable[bytes]:
        """Serve one request; measure it, unless an outer middleware does.

        Args:
            environ: The server's.
            start_response: The server's.
            app: A callable to serve instead of the middleware's application.
        """
        exchange = self.begin(environ, start_response)
        if exchange is None:
            return self.pass_by(environ, start_response, app or self.app)
        try:
            result = (app or self.app)(environ, exchange.start_response)
        except BaseException as error:
            self.fail(exchange, environ, error)
            raise
        return result if exchange.finish_in_memory(result) else exchange.attach(result)

    def begin(self, environ: WSGIEnvironment, start_response: StartResponse) -> WsgiExchange | None:
        """Begin to measure.

        Returns:
            None where nothing is measured here; then call `pass_by`. Otherwise an exchange: call the
            application with its `start_response`. If that raises, call `fail`; else return the result itself
            if `finish_in_memory` is true, or what `attach` returns.
        """
        if MARK in environ:
            return None
        try:
            # uWSGI forks without running Python's fork hooks by default; this runs ours in the child.
            check_fork()
            path = environ.get("PATH_INFO", "")
            if self.observer.has_asgi or self._has_exclusions or path in self._scrape_paths:
                outer = self._outer(environ, path)
                if outer is not None:
                    environ[MARK] = outer
                    return None
                if self._is_scrape(environ, path):
                    return None
            exchange = WsgiExchange()
            exchange.begin(self.observer, environ, start_response)
            if environ.get("wsgi.websocket") is not None:
                note_acceptance(exchange, environ)
            return exchange
        except Exception as error:
            environ[MARK] = SETTLED
            self.observer.failed("the begin", error)
            return None

    def fail(self, exchange: WsgiExchange, environ: WSGIEnvironment, error: BaseException) -> None:
        """Record that the application raised before it returned a response."""
        if exchange.route is None and self._match is not None:
            rule = self._match(environ)
            if rule is not None:
                exchange.match(environ, rule)
        exchange.fail(error)

    def pass_by(
        self, environ: WSGIEnvironment, start_response: StartResponse, app: WSGIApplication
    ) -> Iterable[bytes]:
        """Serve a request that is not measured here: a scrape, or what another layer measures or skips."""
        outer: Outer | None = environ.get(MARK)
        if outer is None:
            return self._serve(environ, start_response)
        return serve_inside(outer, environ, start_response, app)

    def _outer(self, environ: WSGIEnvironment, path: str) -> Outer | None:
        """The outer request that measures this one, or `SETTLED` if it is not measured; else None."""
        outer = enclosing(environ) if self.observer.has_asgi else None
        if outer is not None:
            return outer
        if path in self._scrape_paths and self._owns is not None and self._owns(path):
            return SETTLED
        if self._is_scrape(environ, path):
            return None
        if self._has_exclusions and self._exclude.covers(
            environ, path, lambda: request_uri(environ, include_query=False)
        ):
            return SETTLED
        return None

    def _is_scrape(self, environ: WSGIEnvironment, path: str) -> bool:
        scrape = self.scrape
        if scrape is None or path not in scrape.paths or scrape.is_inside:
            return False
        prefix = environ.get("SCRIPT_NAME") or ""
        known = prefix.encode("latin-1", "replace").decode("utf-8", "replace")
        return scrape.is_exact(_raw_target(environ), known)

    def _serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        assert self.scrape is not None
        say_where(self.scrape, self.app)
        answer = answer_to(self.scrape, environ)
        reason = _REASONS.get(answer.status, "Internal Server Error")
        start_response(f"{answer.status} {reason}", answer.headers)
        return answer.parts


def _raw_target(environ: WSGIEnvironment) -> str | None:
    """The undecoded target of a request, by the names that servers and bridges have for it."""
    for name in ("RAW_URI", "REQUEST_URI", "RAW_PATH_INFO"):
        target: str | None = environ.get(name)
        if target:
            return target
    raw: bytes = (environ.get("asgi.scope") or {}).get("raw_path") or b""
    return raw.decode("latin-1")
