"""How an application comes to be measured: by name, by wrapping, or as its framework is imported."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from otel_obs._setup import Running, configure, on_shutdown, settings_in_force
from otel_obs.errors import InstrumentationError

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline
    from otel_obs.http.exclusion import Carrier, Exclusion
    from otel_obs.http.observe import ExtraLabels, Observer

    Exclude = Callable[[Carrier], bool]

AppT = TypeVar("AppT")


class _Shared:
    """What measures every application that asks for nothing of its own."""

    observer: Observer | None = None


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

        flask.instrument_app(any_app, observer, Running.scrape, exclude=_exclusion("flask", exclude))
        return app
    if framework == "starlette":
        from otel_obs import fastapi

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
    from wrapt import register_post_import_hook

    register_post_import_hook(_configure_for, "otel_obs.catalog.metric")
    register_post_import_hook(_install_flask, "flask")
    register_post_import_hook(_install_starlette, "starlette.applications")
    register_post_import_hook(_install_starlette, "fastapi.applications")
    if Running.sending is not None:
        Running.sending.trace_frameworks()


def trace_client(module: str, load: Callable[..., None]) -> None:
    """Have *load* instrument an HTTP client's module once it is imported, where there is tracing."""
    if Running.sending is not None:
        Running.sending.trace_client(module, load)


def _configure_for(module: object) -> None:
    """The application imports metrics of the catalog: it is going to record."""
    configure()


def _install_flask(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import flask

    flask.install(_observer(), Running.scrape, exclude=_exclusion("flask"))


def _install_starlette(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import fastapi

    fastapi.install(_observer(), Running.scrape, exclude=_exclusion("fastapi"))


def leaves_http_upstream() -> bool:
    """Whether OpenTelemetry's own instrumentations measure requests, and otel_obs does not."""
    settings = settings_in_force()
    return settings is None or settings.http == "upstream"


def _observer() -> Observer:
    """What requests are recorded with; made when it is first needed."""
    if _Shared.observer is None:
        _Shared.observer = _make_observer(None, None)
    return _Shared.observer


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
    from wrapt import register_post_import_hook

    reference = weakref.WeakMethod(observer.disown)

    def disown(family: str) -> None:
        method = reference()
        if method is not None and method(family):
            from otel_obs.exposition.plan import warn_of_owner

            warn_of_owner(family)

    register_post_import_hook(lambda module: module.tell_names(disown), "otel_obs.prometheus")


def _exclusion(framework: str, matches: Exclude | None = None) -> Exclusion:
    from otel_obs.http.exclusion import Exclusion

    return Exclusion(_pipeline().settings.excluded_urls_for(framework), matches)


def _pipeline() -> Pipeline:
    if Running.pipeline is None:
        raise RuntimeError("otel_obs is not configured")
    return Running.pipeline


def _uninstall() -> None:
    """Measure no application any more."""
    _Shared.observer = None
    for name in ("flask", "fastapi"):
        module = sys.modules.get(f"otel_obs.{name}")
        if module is not None:
            module.uninstall()


on_shutdown.append(_uninstall)
