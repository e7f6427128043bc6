"""The ways to measure an application: `instrument` it, wrap it, or hook the import of its framework."""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from otel_obs.assembly import joining
from otel_obs.assembly.observers import exclusion_for, make_observer, note_wsgi, shared_observer
from otel_obs.assembly.setup import Running, configure, settings_in_force
from otel_obs.errors import InstrumentationError, dropped_application, framework_not_measured
from otel_obs.frameworks.known import (
    FRAMEWORKS,
    UNMEASURED,
    Framework,
    framework_of,
    framework_within,
    layers,
)
from otel_obs.frameworks.servers import SERVERS
from otel_obs.frameworks.servers import restore as restore_servers
from otel_obs.host.imports import ImportAction, when_imported
from otel_obs.host.signals import raise_interruption
from otel_obs.host.weak import Notes, WeakObjects
from otel_obs.http.callables import Either, ServerProtocol, protocol_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from otel_obs.assembly.observers import Exclude
    from otel_obs.http.exclusion import Exclusion
    from otel_obs.http.observe import ExtraLabels, Observer
    from otel_obs.settings.setup_options import SetupOptions

_logger = logging.getLogger("otel_obs")

AppT = TypeVar("AppT", bound=Callable[..., Any])


_instrumented: Notes[tuple[Exclude | None, ExtraLabels | None]] = Notes()
"""Framework applications and the arguments of their `instrument` call, so that tests can repeat the call.

The applications are held weakly: instrumenting one does not keep it alive.
"""


def instrument_again() -> None:
    """Measure all applications that were instrumented before the last `shutdown`."""
    for app, (exclude, extra_labels) in _instrumented.living():
        instrument(app, exclude=exclude, extra_labels=extra_labels)


class _Watching:
    """Which import hooks are installed: once per process, however many applications are measured."""

    websockets = frameworks = False

    @classmethod
    def end(cls) -> None:
        cls.websockets = cls.frameworks = False


def instrument(
    app: AppT,
    *,
    exclude: Exclude | None = None,
    extra_labels: ExtraLabels | None = None,
    **options: Unpack[SetupOptions],
) -> AppT:
    """Measure an application and serve `/metrics` beside it.

    Args:
        app: An application of Flask, FastAPI, Starlette, Django, Quart, Litestar, Falcon, Bottle or aiohttp,
            or any WSGI or ASGI callable, with middleware around it or without.
        exclude: Called with the WSGI environ or ASGI scope of a request; true leaves the request out.
        extra_labels: Labels of your own on each request, with declared names.
        options: As `configure` takes them.

    Returns:
        *app* itself where it is an application of these frameworks; otherwise a wrapper, to be served in
        place of *app*.

    Raises:
        InstrumentationError: *app* is neither a known application nor a WSGI or ASGI callable.
        SettingError: One of *options* has a wrong value.
    """
    framework = framework_of(app)
    protocol = protocol_of(app)
    if framework is None and protocol is None:
        raise InstrumentationError(app)
    if configure(**options) is None:
        return app
    if Running.sending is not None:
        Running.sending.trace(app)
    is_own = exclude is not None or extra_labels is not None
    observer = make_observer(exclude, extra_labels) if is_own else shared_observer()
    _watch_websockets()
    _watch_frameworks()
    if framework is not None:
        _instrumented.put(app, (exclude, extra_labels))
        found = _file_of(framework)
        found.instrument_app(app, observer, Running.scrape, exclude=exclusion_for(framework.name, exclude))
        return app
    wrapped: AppT = _wrap(app, protocol, observer, exclude)
    _warn_when_dropped(wrapped, app, observer)
    return wrapped


def _file_of(framework: Framework) -> Any:
    """The module that measures a framework's applications; it imports the framework."""
    file: Any = import_module(f"otel_obs.{framework.file}")
    Running.undoing.once(file.uninstall)
    return file


def _wrap(
    app: Any, protocol: ServerProtocol | None, observer: Observer, exclude: Exclude | None = None
) -> Any:
    """Put a middleware around a callable; a framework application may be inside other middleware."""
    within = framework_within(app)
    excluded = exclusion_for("" if within is None else within.name, exclude)
    if protocol is ServerProtocol.ASGI:
        return _asgi_layer(app, observer, excluded)
    if protocol is ServerProtocol.WSGI:
        return _wsgi_layer(app, observer, excluded)
    return Either(_wsgi_layer(app, observer, excluded), _asgi_layer(app, observer, excluded))


def _asgi_layer(app: Any, observer: Observer, exclude: Exclusion) -> Any:
    from otel_obs.http import asgi
    from otel_obs.http.routes import declares

    class Measured(asgi.AsgiMiddleware):
        """Passes attribute access on, so that code which configures the application can use the wrapper."""

        def __getattr__(self, name: str) -> Any:
            return getattr(app, name)

    return _ended_with_us(
        Measured(app, observer, Running.scrape, exclude=exclude, owns=lambda path: declares(app, path))
    )


def _wsgi_layer(app: Any, observer: Observer, exclude: Exclusion) -> Any:
    """Wrap in the middleware of the framework inside, if it has one: that one knows the routes."""
    from otel_obs.http import wsgi

    within = framework_within(app)
    middleware = wsgi.WsgiMiddleware
    if within is not None:
        middleware = getattr(_file_of(within), "middleware", middleware)
    return _ended_with_us(middleware(app, observer, Running.scrape, exclude=exclude))


_layers: WeakObjects[Any] = WeakObjects()
"""Our middlewares. The server keeps its reference to one, so `shutdown` can only make it pass through."""


def _ended_with_us(layer: Any) -> Any:
    """Register *layer* to become a pass-through at `shutdown`, and return it."""
    _layers.add(layer)
    Running.undoing.once(_end_layers)
    return layer


def _end_layers() -> None:
    for layer in _layers.living():
        layer.end()
    _layers.clear()


def _watch_frameworks() -> None:
    """Hook each framework at its import, to learn the route of a request: a middleware does not see it."""
    if _Watching.frameworks:
        return
    _Watching.frameworks = True
    Running.undoing.later(_Watching.end)
    joining.watch()
    for framework in FRAMEWORKS:
        for module in framework.imported:
            Running.undoing.later(when_imported(module, partial(_watch, framework)))


def _watch(framework: Framework, module: object) -> None:
    _file_of(framework).watch()
    if framework.is_wsgi:
        note_wsgi()


def _watch_websockets() -> None:
    """Hook the packages with which WSGI applications turn a request into a WebSocket, at their import."""
    if _Watching.websockets:
        return
    _Watching.websockets = True
    Running.undoing.later(_Watching.end)
    for module, action in _WEBSOCKETS:
        Running.undoing.later(when_imported(module, action))


def _watch_simple_websocket(module: Any) -> None:
    from otel_obs.http import upgrades

    Running.undoing.once(upgrades.restore)
    upgrades.watch_simple_websocket(module)


def _watch_gevent_websocket(module: Any) -> None:
    from otel_obs.http import upgrades

    Running.undoing.once(upgrades.restore)
    upgrades.watch_gevent_websocket(module)


_WEBSOCKETS: tuple[tuple[str, ImportAction], ...] = (
    ("simple_websocket.ws", _watch_simple_websocket),
    ("geventwebsocket.websocket", _watch_gevent_websocket),
)


def _warn_when_dropped(wrapped: Any, app: Any, observer: Observer) -> None:
    """Warn if the wrapper that `instrument` returned is freed before it has served a request."""
    name = getattr(app, "__qualname__", type(app).__qualname__)
    # Not at exit, when every wrapper is freed. The finalizer must not keep the observer alive.
    weakref.finalize(wrapped, _say_that_dropped, weakref.ref(observer), name).atexit = False


def _say_that_dropped(reference: weakref.ref[Observer], name: str) -> None:
    observer = reference()
    if observer is not None and not observer.entries and _is_first_to_say(f"dropped-{name[:100]}"):
        _logger.warning("%s", dropped_application(name))


class PrometheusMiddleware:
    """A WSGI middleware: `app.wsgi_app = PrometheusMiddleware(app.wsgi_app)`.

    Args:
        wsgi_app: Any WSGI callable; a bound `Flask.wsgi_app` is measured by its routes.
        options: As `configure` takes them.
    """

    def __init__(self, wsgi_app: Callable[..., Any], **options: Unpack[SetupOptions]) -> None:
        self.wsgi_app = wsgi_app
        self._measured = wsgi_app
        if configure(**options) is not None:
            _watch_websockets()
            _watch_frameworks()
            self._measured = _wrap(wsgi_app, ServerProtocol.WSGI, shared_observer())

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Any:
        """Answer a request as PEP 3333 has it."""
        return self._measured(environ, start_response)


def instrument_all() -> None:
    """Measure every application of a known framework, by hooks on the imports of the frameworks.

    Any other application is wrapped where its server (see `SERVERS`) loads it.
    """
    followed: list[tuple[str, ImportAction]] = [("otel_obs.catalog.kit.metric", _configure_for)]
    for framework in FRAMEWORKS:
        followed += [(module, partial(_install, framework)) for module in framework.imported]
    followed += [(module, partial(_say_unmeasured, name)) for name, module in UNMEASURED]
    followed += [(server.module, partial(server.change, wrap=_serve)) for server in SERVERS]
    # Registered before the first hook: importing a server, which changes it, may happen at any time.
    Running.undoing.later(restore_servers)
    for module, action in followed:
        Running.undoing.later(when_imported(module, action))
    if Running.sending is not None:
        Running.sending.trace_frameworks()


def _say_unmeasured(framework: str, module: object) -> None:
    """Log that a framework with a server of its own is not measured.

    Only as INFO beside a measured framework: the application may use the other one as a library.
    """
    known = any(name in sys.modules for each in FRAMEWORKS for name in each.imported)
    if _is_first_to_say(f"unmeasured-{framework}"):
        _logger.log(logging.INFO if known else logging.WARNING, "%s", framework_not_measured(framework))


def _is_first_to_say(what: str) -> bool:
    joined = Running.service
    return joined is None or joined[1].claims(what)


def trace_client(module: str, load: Callable[..., None]) -> None:
    """Have *load* instrument an HTTP client once its module is imported, if traces are sent."""
    if Running.sending is not None:
        Running.sending.trace_client(module, load)


def _configure_for(module: object) -> None:
    """Set up when the application imports metrics of the catalog: it is going to record."""
    if not Running.loaders:  # a set-up imports the catalog too, and configures as its next step
        configure()


def _install(framework: Framework, module: object) -> None:
    if configure() is None:
        return
    _watch_websockets()
    _watch_frameworks()
    _file_of(framework).install(shared_observer(), Running.scrape, exclude=exclusion_for(framework.name))


def _serve(app: Any) -> Any:
    """Return what a server is to serve for *app*: *app* itself where its framework's hook measures it."""
    joining.join(app)
    try:
        protocol = protocol_of(app)
        if protocol is None or _is_known(app) or configure() is None:
            return app
        _watch_websockets()
        _watch_frameworks()
        return _wrap(app, protocol, shared_observer())
    except Exception as error:
        raise_interruption(error)
        _logger.exception("%r could not be measured; it is served all the same", app)
        return app


def _is_known(app: Any) -> bool:
    """Whether *app* needs no wrapper: its framework is hooked, it has one already, or it serves metrics."""
    if getattr(app, "__module__", "").partition(".")[0] in _NO_APPLICATIONS:
        return True
    ours = any(type(layer).__module__.startswith("otel_obs.") for layer in layers(app))
    return ours or framework_within(app) is not None


_NO_APPLICATIONS = frozenset({"prometheus_client", "otel_obs"})
"""Packages whose WSGI and ASGI callables serve metrics; a scrape is not measured as a request."""


def leaves_http_upstream() -> bool:
    """Whether OpenTelemetry's own instrumentations measure requests, and otel_obs does not."""
    settings = settings_in_force()
    return settings is None or settings.http == "upstream"
