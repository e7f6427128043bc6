"""Measures all applications of a framework by replacing the `__call__` of their class, once."""

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
"""Called with an application and a path; true if the application has a route of exactly that path."""


class MeasuredWith(NamedTuple):
    """The parts with which applications are measured."""

    observer: Observer
    scrape: Scrape | None = None
    exclude: Exclusion | None = None


class Face(ABC):
    """The entry point, `__call__`, of a framework's application class.

    The interpreter looks `__call__` up on the class at each request, so that replacing it also works for an
    application that a server has already; and it is outside of all of the application's middleware.

    Args:
        kind: The class.
        owns: Whether an application has a route of its own at a path; the path is then left to it.
        prepare: Called once for each application, before its first measured request.
    """

    middleware: Callable[..., Any]
    method = "__call__"
    """The name of the method that servers call."""

    def __init__(
        self, kind: Any, owns: OwnsPath | None = None, prepare: Callable[[Any], None] = lambda app: None
    ) -> None:
        self.kind, self._owns, self._prepare = kind, owns, prepare
        self._default: MeasuredWith | None = None
        self._original: Any = None
        # Strong references: applications live as long as their process, and one whose class has __slots__
        # cannot be referenced weakly. So no other application can get the same id.
        self._measured: dict[int, tuple[Any, Any]] = {}

    def serves(self, app: object) -> bool:
        """Whether *app* is of the class."""
        return isinstance(app, self.kind)

    def measure(self, app: Any, measured_with: MeasuredWith) -> bool:
        """Measure one application from its next request on; false where it is measured already."""
        if id(app) in self._measured:
            return False
        self._begin(app, measured_with)
        self.change()
        return True

    def measure_all(self, measured_with: MeasuredWith) -> None:
        """Measure every application of the class, present and future ones."""
        self._default = measured_with
        self.change()

    def change(self) -> None:
        """Replace the method, once. Unmeasured applications then report routes to an outer middleware."""
        if self._original is None:
            self._original = getattr(self.kind, self.method)
            setattr(self.kind, self.method, self._measured_call(self._original))

    def restore(self) -> None:
        """Put the original method back, and forget all applications."""
        self._default = None
        self._measured.clear()
        if self._original is not None:
            setattr(self.kind, self.method, self._original)
            self._original = None

    def of(self, app: Any) -> Any:
        """Return the middleware that measures *app*; None where it is not measured."""
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
        """Wrap the class's own *call* in the measurement."""


class AsgiFace(Face):
    """The face of an ASGI framework."""

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
                await asgi.carry(partial(call, app), exchange, scope)

        return measured_call


class WsgiFace(Face):
    """The face of a WSGI framework."""

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


class Faces:
    """The faces of one framework, and what its file offers of them to the set-up.

    Args:
        watch: Adds the face of each class that is imported, and has the framework report routes.
    """

    def __init__(self, watch: Callable[[], None]) -> None:
        self._watch = watch
        self._faces: dict[Any, Face] = {}

    def add(self, face: Face) -> bool:
        """Replace the method of the face's class; false where it is replaced already."""
        if face.kind in self._faces:
            return False
        self._faces[face.kind] = face
        face.change()
        return True

    def instrument_app(
        self, app: Any, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
    ) -> bool:
        """Measure one application from its next request on; false where it is measured already."""
        self._watch()
        # The last added first: Falcon's class for ASGI is a subclass of that for WSGI.
        face = next(face for face in reversed(self._faces.values()) if face.serves(app))
        return face.measure(app, MeasuredWith(observer, scrape, exclude))

    def install(
        self, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
    ) -> None:
        """Measure every application; call it again when another class of the framework is imported."""
        self._watch()
        for face in self._faces.values():
            face.measure_all(MeasuredWith(observer, scrape, exclude))

    def restore(self) -> bool:
        """Put the original methods back; false where none was replaced."""
        had_faces = bool(self._faces)
        while self._faces:
            self._faces.popitem()[1].restore()
        return had_faces
