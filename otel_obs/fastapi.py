"""Measure FastAPI and Starlette applications: translate only, `otel_obs.http` does the work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any, ClassVar, NamedTuple
from weakref import WeakSet

from otel_obs.errors import MissingPackageError
from otel_obs.http.asgi import Middleware, Receive, Scope, Send
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.nesting import MARK
from otel_obs.http.observe import Observer
from otel_obs.http.routes import declares
from otel_obs.http.scrape import Scrape

try:
    from starlette.applications import Starlette
except ImportError as error:
    raise MissingPackageError("otel_obs.fastapi", "FastAPI or Starlette", "fastapi") from error

KEY = "_otel_obs"
"""The attribute of an application that holds what measures it."""

_Call = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


class Measuring(NamedTuple):
    """What an application is measured with."""

    observer: Observer
    scrape: Scrape | None
    exclude: Exclusion | None


class _Patch:
    """The classes are changed once: `__call__` is looked up at each request, so it is never too late.

    Middleware could only be added before an application's first request, and would not be the outermost.
    """

    default: Measuring | None = None
    originals: ClassVar[dict[type, _Call]] = {}
    adopted: ClassVar[WeakSet[Starlette]] = WeakSet()
    quietened: ClassVar[WeakSet[Any]] = WeakSet()


def instrument_app(
    app: Starlette, observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None
) -> bool:
    """Measure one application, from its next request on.

    Returns:
        False where it is measured already; then nothing changes.
    """
    if KEY in app.__dict__:
        return False
    app.__dict__[KEY] = _middleware(app, Measuring(observer, scrape, exclude))
    _change_classes()
    return True


def uninstrument_app(app: Starlette) -> None:
    """Stop measuring one application that `instrument_app` began to measure."""
    app.__dict__.pop(KEY, None)


def install(observer: Observer, scrape: Scrape | None = None, *, exclude: Exclusion | None = None) -> None:
    """Measure every FastAPI and Starlette application of this process, also those to come.

    Call it again when `fastapi` is imported after `starlette`.
    """
    _Patch.default = Measuring(observer, scrape, exclude)
    _change_classes()


def uninstall() -> None:
    """Measure no FastAPI or Starlette application any more."""
    _Patch.default = None
    kind: Any
    for kind, call in _Patch.originals.items():
        kind.__call__ = call
    _Patch.originals.clear()
    while _Patch.adopted:
        uninstrument_app(_Patch.adopted.pop())
    while _Patch.quietened:
        _Patch.quietened.pop()._telemetry["metrics"] = True


def _middleware(app: Starlette, measuring: Measuring) -> Middleware:
    observer, scrape, exclude = measuring
    _quieten(app)
    return Middleware(app, observer, scrape, exclude=exclude, owns=lambda path: declares(app, path))


def _change_classes() -> None:
    kind: Any = Starlette
    if kind not in _Patch.originals:
        _Patch.originals[kind] = kind.__call__
        kind.__call__ = _measured(kind.__call__)


def _measured(call: _Call) -> _Call:
    @wraps(call)
    async def measured_call(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        measuring: Middleware | None = None
        if MARK not in scope:
            measuring = self.__dict__.get(KEY) or _adopt(self)
        if measuring is None:
            await call(self, scope, receive, send)
        else:
            await measuring.observe(MethodType(call, self), scope, receive, send)

    return measured_call


def _adopt(app: Starlette) -> Middleware | None:
    """Begin to measure an application that nobody asked for by name."""
    if _Patch.default is None:
        return None
    _Patch.adopted.add(app)
    adopted = app.__dict__[KEY] = _middleware(app, _Patch.default)
    return adopted


def _quieten(app: Any) -> None:
    """Switch off FastAPI's own metrics, which begin by themselves as soon as there is a global provider.

    A no-op meter would keep them from being counted, not from costing ten times what ours do. An application
    that was given a meter provider of its own keeps its metrics: they go elsewhere.
    """
    telemetry = app.__dict__.get("_telemetry")
    if telemetry and telemetry.get("metrics") and telemetry.get("meter_provider") is None:
        telemetry["metrics"] = False
        _Patch.quietened.add(app)
