"""How an application comes to be measured: by name, by wrapping, or as its framework is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from otel_obs._setup import Running, configure, settings_in_force
from otel_obs.errors import InstrumentationError
from otel_obs.host.imports import when_imported
from otel_obs.host.weak import WeakObjects

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline
    from otel_obs.http.exclusion import Carrier, Exclusion
    from otel_obs.http.observe import ExtraLabels, Observer

    Exclude = Callable[[Carrier], bool]

AppT = TypeVar("AppT")


class _Measuring:
    """What measures the applications of this process."""

    observer: Observer | None = None
    """Of those that ask for nothing of their own."""
    observers: WeakObjects[Observer] = WeakObjects()
    is_listening = False
    """Whether the names that the application defines are told here."""
    taken: ClassVar[set[str]] = set()
    """The families that the application has defined by `otel_obs.prometheus`."""


def instrument(
    app: AppT,
    *,
    exclude: Exclude | None = None,
    extra_labels: ExtraLabels | None = None,
    **options: Any,
) -> AppT:
    """Measure an application and serve `/metrics` beside it.

    Args:
        app: A Flask, FastAPI or Starlette application, or any WSGI or ASGI callable.
        exclude: Given the WSGI environ or ASGI scope of a request; true leaves it out.
        extra_labels: Labels of your own on each request, with names that are declared.
        options: As `configure` takes them.

    Returns:
        A Flask, FastAPI or Starlette application itself; another callable wrapped.

    Raises:
        InstrumentationError: *app* is none of these.
        SettingError: One of *options* has a wrong value.
    """
    if not callable(app):
        raise InstrumentationError(app)
    if configure(**options) is None:
        return app
    if Running.sending is not None:
        Running.sending.trace(app)
    is_own = exclude is not None or extra_labels is not None
    observer = _make_observer(exclude, extra_labels) if is_own else _observer()
    any_app: Any = app
    framework = _framework_of(app)
    if framework == "flask":
        from otel_obs import flask

        Running.undoing.once(flask.uninstall)
        flask.instrument_app(any_app, observer, Running.scrape, exclude=_exclusion("flask", exclude))
        return app
    if framework == "starlette":
        from otel_obs import fastapi

        Running.undoing.once(fastapi.uninstall)
        fastapi.instrument_app(any_app, observer, Running.scrape, exclude=_exclusion("fastapi", exclude))
        return app
    wrapped: AppT = _wrap(app, observer)
    return wrapped


def _framework_of(app: object) -> str:
    names = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    return next((name for name in ("flask", "starlette") if name in names), "")


def _wrap(app: Any, observer: Observer) -> Any:
    if _is_asgi(app):
        from otel_obs.http import asgi

        return asgi.Middleware(app, observer, Running.scrape)
    return _wsgi_middleware(app, observer)


def _wsgi_middleware(app: Any, observer: Observer) -> Any:
    """A bound `Flask.wsgi_app` knows its application, and so its routes."""
    if _framework_of(getattr(app, "__self__", None)) == "flask":
        from otel_obs import flask

        Running.undoing.once(flask.uninstall)
        return flask.middleware(app, observer, Running.scrape, exclude=_exclusion("flask"))
    from otel_obs.http import wsgi

    return wsgi.Middleware(app, observer, Running.scrape)


def _is_asgi(app: Any) -> bool:
    from inspect import iscoroutinefunction

    return iscoroutinefunction(app) or iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


class PrometheusMiddleware:
    """A WSGI middleware: `app.wsgi_app = PrometheusMiddleware(app.wsgi_app)`.

    Args:
        wsgi_app: Any WSGI callable; a bound `Flask.wsgi_app` is measured by its routes.
        options: As `configure` takes them.
    """

    def __init__(self, wsgi_app: Any, **options: Any) -> None:
        self.wsgi_app = wsgi_app
        self._measured = wsgi_app
        if configure(**options) is not None:
            self._measured = _wsgi_middleware(wsgi_app, _observer())

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Any:
        return self._measured(environ, start_response)


def instrument_all() -> None:
    """Measure every Flask, FastAPI and Starlette application of this process, as they are imported."""
    for module, action in (
        ("otel_obs.catalog.metric", _configure_for),
        ("flask", _install_flask),
        ("starlette.applications", _install_starlette),
        ("fastapi.applications", _install_starlette),
    ):
        Running.undoing.later(when_imported(module, action))
    if Running.sending is not None:
        Running.sending.trace_frameworks()


def trace_client(module: str, load: Callable[..., None]) -> None:
    """Have *load* instrument an HTTP client's module once it is imported, where there is tracing."""
    if Running.sending is not None:
        Running.sending.trace_client(module, load)


def _configure_for(module: object) -> None:
    """The application imports metrics of the catalog: it is going to record."""
    if not Running.loaders:  # whoever imports them for a set-up does that next
        configure()


def _install_flask(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import flask

    Running.undoing.once(flask.uninstall)
    flask.install(_observer(), Running.scrape, exclude=_exclusion("flask"))


def _install_starlette(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import fastapi

    Running.undoing.once(fastapi.uninstall)
    fastapi.install(_observer(), Running.scrape, exclude=_exclusion("fastapi"))


def leaves_http_upstream() -> bool:
    """Whether OpenTelemetry's own instrumentations measure requests, and otel_obs does not."""
    settings = settings_in_force()
    return settings is None or settings.http == "upstream"


def _observer() -> Observer:
    """What requests are recorded with; made when it is first needed."""
    if _Measuring.observer is None:
        _Measuring.observer = _make_observer(None, None)
    return _Measuring.observer


def _make_observer(exclude: Exclude | None, extra: ExtraLabels | None) -> Observer:
    from otel_obs.catalog import http
    from otel_obs.catalog.naming import Naming
    from otel_obs.http.naming import Classic, Semconv
    from otel_obs.http.observe import HttpInstruments, Observer

    settings = _pipeline().settings
    naming = Naming.from_settings(settings)
    recorded = http.instruments(naming, settings.http_sizes) if settings.http == "on" else {}
    if extra is not None:
        for metric in recorded.values():
            metric.extend(*extra.names)
    families = http.families(naming)
    profile = Semconv(families) if settings.profile == "semconv" else Classic(families)
    observer = Observer(
        HttpInstruments(**recorded),
        profile,
        exclude=_exclusion("", exclude),
        extra=extra,
        meets_loop=_watch_loop if settings.runtime_metrics else _watch_none,
    )
    _give_way(observer)
    return observer


def _watch_loop() -> None:
    from otel_obs.catalog import runtime

    runtime.watch_running_loop()


def _watch_none() -> None:
    """Where no runtime metrics are wanted."""


def _give_way(observer: Observer) -> None:
    """Record no family that the application defines by `otel_obs.prometheus`: both would be pushed."""
    _Measuring.observers.add(observer)
    Running.undoing.once(_end)
    if not _Measuring.is_listening:
        _Measuring.is_listening = True
        Running.undoing.later(when_imported("otel_obs.prometheus", _listen))
    for family in list(_Measuring.taken):
        observer.disown(family)


def _listen(module: Any) -> None:
    Running.undoing.later(module.tell_names(_note_owner))


def _note_owner(family: str) -> None:
    _Measuring.taken.add(family)
    if [observer for observer in _Measuring.observers.living() if observer.disown(family)]:
        from otel_obs.exposition.plan import warn_of_owner

        warn_of_owner(family)


def _end() -> None:
    """Measure with nobody's observers any more."""
    _Measuring.observer = None
    _Measuring.is_listening = False
    _Measuring.observers.clear()
    _Measuring.taken.clear()


def _exclusion(framework: str, matches: Exclude | None = None) -> Exclusion:
    from otel_obs.http.exclusion import Exclusion

    return Exclusion(_pipeline().settings.excluded_urls_for(framework), matches)


def _pipeline() -> Pipeline:
    if Running.pipeline is None:
        raise RuntimeError("otel_obs is not configured")
    return Running.pipeline
