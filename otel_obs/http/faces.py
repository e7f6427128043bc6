"""Measure every application of one class: its `__call__` is changed once, however many there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, NamedTuple

from otel_obs.http import asgi, wsgi
from otel_obs.http.asgi_inside import begin_inside
from otel_obs.http.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK, enclosing
from otel_obs.http.observe import Observer
from otel_obs.serving.scrape import Scrape

OwnsPath = Callable[[Any, str], bool]
"""Given an application and a path, tells whether it has a route of exactly that path."""


class MeasuredWith(NamedTuple):
    """What applications are measured with."""

    observer: Observer
    scrape: Scrape | None = None
    exclude: Exclusion | None = None


class Face(ABC):
    """The side of a class of applications that servers call.

    `__call__` is looked up at each request, so it is never too late, and it is the outermost layer.

    Args:
        kind: The class.
        owns: Tells what paths an application has itself: they are left to it.
        prepare: Is called once for each application that begins to be measured.
    """

    middleware: Callable[..., Any]
    method = "__call__"
    """What a server calls of an application."""

    def __init__(
        self, kind: Any, owns: OwnsPath | None = None, prepare: Callable[[Any], None] = lambda app: None
    ) -> None:
        self._kind, self._owns, self._prepare = kind, owns, prepare
        self._default: MeasuredWith | None = None
        self._original: Any = None
        # Applications last as long as their process; those with slots could not be referred to weakly.
        self._measured: dict[int, tuple[Any, Any]] = {}

    def serves(self, app: object) -> bool:
        """Whether *app* is of the class."""
        return isinstance(app, self._kind)

    def measure(self, app: Any, measured_with: MeasuredWith) -> bool:
        """Measure one application, from its next request on; False where it is measured already."""
        if id(app) in self._measured:
            return False
        self._begin(app, measured_with)
        self.change()
        return True

    def measure_all(self, measured_with: MeasuredWith) -> None:
        """Measure every application of the class, those that are there and those to come."""
        self._default = measured_with
        self.change()

    def change(self) -> None:
        """Change the class, once: what measures a request learns what is inside of it."""
        if self._original is None:
            self._original = getattr(self._kind, self.method)
            setattr(self._kind, self.method, self._measured_call(self._original))

    def restore(self) -> None:
        """Measure no application of the class any more."""
        self._default = None
        self._measured.clear()
        if self._original is not None:
            setattr(self._kind, self.method, self._original)
            self._original = None

    def of(self, app: Any) -> Any:
        """The middleware that measures *app*; None where nothing does."""
        known = self._measured.get(id(app))
        if known is not None:
            return known[1]
        return None if self._default is None else self._begin(app, self._default)

    def _begin(self, app: Any, measured_with: MeasuredWith) -> Any:
        observer, scrape, exclude = measured_with
        owns = None if self._owns is None else partial(self._owns, app)
        middleware = self.middleware(app, observer, scrape, exclude=exclude, owns=owns)
        self._measured[id(app)] = app, middleware
        self._prepare(app)
        return middleware

    @abstractmethod
    def _measured_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The class's own *call* with the measuring around it."""


class AsgiFace(Face):
    """Of an ASGI framework."""

    middleware = asgi.AsgiMiddleware

    def _measured_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        async def measured_call(app: Any, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
            measuring = self.of(app)
            exchange: Any = begin_inside(scope, receive, send)
            if exchange is None and measuring is not None:
                exchange = measuring.begin(scope, receive, send)
            if exchange is None:
                await call(app, scope, receive, send)
            elif exchange is measuring:
                await measuring.serve(scope, send)
            else:
                try:
                    await call(app, scope, exchange.receive, exchange.send)
                except BaseException as error:
                    exchange.fail(error)
                    raise
                if not exchange.is_done:
                    exchange.returned()

        return measured_call


class WsgiFace(Face):
    """Of a WSGI framework."""

    middleware = wsgi.WsgiMiddleware

    def _measured_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def measured_call(app: Any, environ: Any, start_response: Any) -> Iterable[bytes]:
            measuring = self.of(app)
            if measuring is None:
                outer, served = environ.get(MARK) or enclosing(environ), partial(call, app)
                if outer is None:
                    plain: Iterable[bytes] = served(environ, start_response)
                    return plain
                environ[MARK] = outer
                return wsgi.serve_inside(outer, environ, start_response, served)
            measured: Iterable[bytes] = measuring(environ, start_response, partial(call, app))
            return measured

        return measured_call
