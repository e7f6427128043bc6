"""Measures FastAPI and Starlette applications: finds the route here; `otel_obs.http` records."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any, ClassVar, NamedTuple

from otel_obs.errors import MissingPackageError
from otel_obs.host.changes import Replacements
from otel_obs.host.weak import WeakObjects
from otel_obs.http.asgi import AsgiMiddleware, answer_to
from otel_obs.http.asgi_inside import begin_inside
from otel_obs.http.asgi_types import AsgiReceive, AsgiScope, AsgiSend
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK, SETTLED, Outer
from otel_obs.http.observe import Observer
from otel_obs.http.routes import ALONE, declares, mounted_applications
from otel_obs.serving.scrape import Scrape

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import StreamingResponse
    from starlette.routing import BaseRoute, Router
except ImportError as error:
    raise MissingPackageError("otel_obs.fastapi", "FastAPI or Starlette", "fastapi") from error

KEY = "_otel_obs"
"""The attribute of an application that holds its middleware."""

_AsgiCall = Callable[[Any, AsgiScope, AsgiReceive, AsgiSend], Awaitable[None]]


class FastapiMeasuring(NamedTuple):
    """The parts with which an application is measured."""

    observer: Observer
    scrape: Scrape | None
    exclude: Exclusion | None


class _FastapiPatch:
    """The state of the change to the classes, whose `__call__` is replaced once.

    The interpreter looks `__call__` up on the class at each request, so that this also works after a server
    has got the application. Middleware can only be added before the first request, and may not be outermost.
    """

    default: FastapiMeasuring | None = None
    changes = Replacements()
    init: tuple[Any, Callable[..., None]] | None = None
    measured: ClassVar[WeakObjects[Starlette]] = WeakObjects()
    quietened: ClassVar[WeakObjects[Any]] = WeakObjects()


def instrument_app(
    app: Starlette, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
) -> bool:
    """Measure one application, from its next request on.

    Returns:
        False where it is measured already; then nothing changes.
    """
    if KEY in app.__dict__:
        return False
    _measure(app, FastapiMeasuring(observer, scrape, exclude))
    _change_classes()
    return True


def uninstrument_app(app: Starlette) -> None:
    """Stop measuring one application that `instrument_app` began to measure."""
    app.__dict__.pop(KEY, None)


def install(observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None) -> None:
    """Measure every FastAPI and Starlette application of this process, present and future ones.

    Call it again when `fastapi` is imported after `starlette`.
    """
    _FastapiPatch.default = FastapiMeasuring(observer, scrape, exclude)
    observer.has_asgi = True
    _change_classes()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    _FastapiPatch.default = None
    _FastapiPatch.changes.undo()
    if _FastapiPatch.init is not None:
        kind, init = _FastapiPatch.init
        kind.__init__ = init
        _FastapiPatch.init = None
    for app in _FastapiPatch.measured.living():
        uninstrument_app(app)
    for quietened in _FastapiPatch.quietened.living():
        quietened._telemetry["metrics"] = True
    _FastapiPatch.measured.clear()
    _FastapiPatch.quietened.clear()


def _measure(app: Starlette, measuring: FastapiMeasuring) -> AsgiMiddleware:
    observer, scrape, exclude = measuring
    if scrape is not None and scrape.is_inside:
        _serve_inside(app, scrape)
    middleware = AsgiMiddleware(app, observer, scrape, exclude=exclude, owns=lambda path: declares(app, path))
    app.__dict__[KEY] = middleware
    _FastapiPatch.measured.add(app)
    for each in (app, *mounted_applications(app)):
        _quieten(each)
    return middleware


def _serve_inside(app: Starlette, scrape: Scrape) -> None:
    """Add a route of the application that answers scrapes, after the application's own checks."""
    if declares(app, scrape.path):
        return

    async def metrics(request: Any) -> Any:
        answer = await answer_to(scrape, request.scope)
        return StreamingResponse(_each(answer.parts), answer.status, dict(answer.headers))

    metrics.__annotations__ = {"request": Request}
    router: Any = app.router
    if hasattr(router, "add_api_route"):  # FastAPI's: the application's dependencies apply to this route too
        router.add_api_route(
            scrape.path, metrics, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )
    else:
        router.add_route(scrape.path, metrics, methods=["GET", "HEAD"], include_in_schema=False)
    router.routes.insert(0, router.routes.pop())  # first: a catch-all may be among the others


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def _change_classes() -> None:
    watch()
    _quieten_from_the_start()


def watch() -> None:
    """Report the scope in which routes are matched to the request's middleware: it may be a copy."""
    changes = _FastapiPatch.changes
    changes.make(Starlette, "__call__", _measured)
    changes.make(Router, "__call__", _watched)
    changes.make(BaseRoute, "__call__", _alone)


def _watched(route: _AsgiCall) -> _AsgiCall:
    async def watched_call(self: Any, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        outer: Outer | None = scope.get(MARK)
        if outer is not None:
            outer.route_in(scope)
            if type(self.middleware_stack) is not MethodType:
                _reach_behind_middleware(self)
        await route(self, scope, receive, send)

    return watched_call


def _alone(call: _AsgiCall) -> _AsgiCall:
    """Note a route that serves as the whole application, since there is no router in the scope."""

    async def called_alone(self: Any, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        outer: Outer | None = scope.get(MARK)
        if outer is not None and "router" not in scope:
            scope[ALONE] = self.__dict__.setdefault(ALONE, (self,))
            outer.route_in(scope)
        await call(self, scope, receive, send)

    return called_alone


def _reach_behind_middleware(router: Any) -> None:
    """Hook the innermost call of a router, since its own middleware may copy the scope."""
    layer = router.middleware_stack
    for _ in range(50):
        inner = getattr(layer, "app", None)
        if inner == router.app and type(inner) is MethodType:
            layer.app = _Innermost(inner)
            return
        if inner is None or type(inner) is _Innermost:
            return
        layer = inner


class _Innermost:
    """Calls a router's matching, after reporting the scope."""

    def __init__(self, match: Any) -> None:
        self._match = match

    async def __call__(self, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        outer: Outer | None = scope.get(MARK)
        if outer is not None:
            outer.route_in(scope)
        await self._match(scope, receive, send)


def _quieten_from_the_start() -> None:
    """Quieten each FastAPI application when it is made.

    At the first request it would be too late: FastAPI records before it calls Starlette's `__call__`.
    """
    kind: Any = getattr(sys.modules.get("fastapi.applications"), "FastAPI", None)
    if kind is None or _FastapiPatch.init is not None:
        return
    init = kind.__init__
    _FastapiPatch.init = kind, init

    @wraps(init)
    def quiet_init(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        if _FastapiPatch.default is not None:
            _quieten(self)

    kind.__init__ = quiet_init


def _measured(call: _AsgiCall) -> _AsgiCall:
    @wraps(call)
    async def measured_call(self: Any, scope: AsgiScope, receive: AsgiReceive, send: AsgiSend) -> None:
        measuring: AsgiMiddleware | None = self.__dict__.get(KEY) or _adopt(self)
        exchange: Any
        if measuring is None:
            exchange = begin_inside(scope, receive, send)
        else:
            exchange = measuring.begin(scope, receive, send)
        if exchange is None:
            await call(self, scope, receive, send)
        elif exchange is measuring:
            await measuring.serve(scope, send)
        else:
            # What `asgi.carry` does, without its further call.
            try:
                await call(self, scope, exchange.receive, exchange.send)
            except BaseException as error:
                exchange.fail(error)
                raise
            else:
                if not exchange.is_done:
                    exchange.returned()
            finally:
                scope[MARK] = SETTLED

    return measured_call


def _adopt(app: Starlette) -> AsgiMiddleware | None:
    """Begin to measure an application at its first request, after `install`."""
    return None if _FastapiPatch.default is None else _measure(app, _FastapiPatch.default)


def _quieten(app: Any) -> None:
    """Switch off FastAPI's own metrics, which are on as soon as there is a global meter provider.

    With a no-op meter they would not be counted, but would still cost ten times as much as ours. An
    application with a meter provider of its own keeps its metrics, since they go elsewhere.
    """
    telemetry = app.__dict__.get("_telemetry")
    if telemetry and telemetry.get("metrics") and telemetry.get("meter_provider") is None:
        telemetry["metrics"] = False
        _FastapiPatch.quietened.add(app)
