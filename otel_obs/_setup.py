"""The composition root: what is put together, and how an application comes to be measured."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import metrics

from otel_obs.cells.ancestry import is_first
from otel_obs.cells.rundir import Identity, default_bases, identify
from otel_obs.cells.service import Service
from otel_obs.errors import InstrumentationError, SettingError
from otel_obs.settings import Settings, process_environment

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline
    from otel_obs._registry import Collector
    from otel_obs._sending import Sending
    from otel_obs._server import MetricsServer
    from otel_obs.http.observe import Observer
    from otel_obs.http.scrape import Scrape
    from otel_obs.sdk import MeterProvider

# The wrapper loads this module in every Python process that the application starts. What a process
# needs only when it measures something is imported then.
_logger = logging.getLogger("otel_obs")
AppT = TypeVar("AppT")


class _Running:
    """What is configured in this process, and what measures its applications."""

    service: tuple[Identity, Service] | None = None
    pipeline: Pipeline | None = None
    observer: Observer | None = None
    scrape: Scrape | None = None
    collector: Collector | None = None
    server: MetricsServer | None = None
    sending: Sending | None = None
    is_refused = False
    is_building = False


def prepare() -> bool:
    """Get ready to set up metrics as soon as this process turns out to measure something.

    Most Python processes never do: the helpers that an application starts, and the masters of servers.

    Returns:
        Whether otel_obs is on, and the environment's settings make sense.
    """
    settings = _settings({})
    if settings is None or _join(settings) is None:
        return False
    if settings.sends or settings.prometheus_port is not None:
        configure()
    elif _Running.pipeline is None:
        metrics.set_meter_provider(DeferredProvider())
    return True


class DeferredProvider(metrics.MeterProvider):
    """The global provider until somebody asks it for a meter."""

    def get_meter(self, *arguments: Any, **options: Any) -> metrics.Meter:
        """A meter of the provider that `configure` makes."""
        pipeline = configure()
        provider = pipeline.provider if pipeline is not None else metrics.NoOpMeterProvider()
        return provider.get_meter(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        """What the SDK's provider has beside the API's, such as `force_flush`."""
        pipeline = None if name.startswith("_") else configure()
        if pipeline is None:
            raise AttributeError(name)
        return getattr(pipeline.provider, name)


def configure(
    *,
    readers: Sequence[Any] = (),
    views: Sequence[Any] = (),
    resource: Any = None,
    exemplar_filter: Any = None,
    **options: Any,
) -> Pipeline | None:
    """Set up metrics for this process, once; a second call changes nothing.

    Args:
        readers: Further metric readers of the SDK.
        views: Views of the SDK.
        resource: The SDK's `Resource`; by default what the environment says.
        exemplar_filter: The SDK's; by default what the environment says.
        options: Settings by their names, in place of the environment's: `namespace="shop"`.

    Returns:
        The pipeline; None where otel_obs is switched off, or a variable has a wrong value, which is logged.

    Raises:
        SettingError: One of *options* has a wrong value.
    """
    if _Running.pipeline is not None or _Running.is_building:
        return _Running.pipeline
    settings = _settings(options)
    joined = _join(settings) if settings is not None else None
    if settings is None or joined is None:
        return None
    _Running.is_building = True
    try:
        _Running.pipeline = _build(settings, joined, readers, views, resource, exemplar_filter)
    except SettingError as error:
        _refuse(error)
    finally:
        _Running.is_building = False
    return _Running.pipeline


def _settings(options: Mapping[str, Any]) -> Settings | None:
    """What the environment and *options* say; None where otel_obs is to do nothing."""
    if _Running.is_refused:
        return None
    try:
        settings = Settings.from_env()
    except SettingError as error:
        _refuse(error)
        return None
    settings = settings.with_options(**options)
    for warning in settings.warnings:
        _warn_once(warning)
    return settings if settings.is_on else None


def _join(settings: Settings) -> tuple[Identity, Service] | None:
    """This process's place among the service's workers; None for a helper of multiprocessing."""
    if _Running.service is None:
        environ = process_environment()
        identity = identify(environ, sys.orig_argv)
        if identity is None:
            return None
        if settings.run_dir:
            service = Service([settings.run_dir], identity.nonce, "OTEL_OBS_RUN_DIR")
        else:
            service = Service(default_bases(environ), identity.nonce)
        _Running.service = identity, service
    return _Running.service


def _warn_once(warning: str) -> None:
    if warning not in _said:
        _said.add(warning)
        _logger.warning("%s", warning)


_said: set[str] = set()


def _refuse(error: SettingError) -> None:
    """Say once why there are no metrics; the application goes on without."""
    _Running.is_refused = True
    _logger.error("%s; this process runs without metrics", error)


def _build(
    settings: Settings,
    joined: tuple[Identity, Service],
    readers: Sequence[Any],
    views: Sequence[Any],
    resource: Any,
    exemplar_filter: Any,
) -> Pipeline:
    from otel_obs._pipeline import Pipeline
    from otel_obs.catalog import metric
    from otel_obs.catalog.naming import Naming
    from otel_obs.cells.worker import Worker
    from otel_obs.sdk import MeterProvider
    from otel_obs.sdk.refresh import Refresher

    identity, service = joined
    naming = Naming.from_settings(settings)
    provider = MeterProvider(
        [*readers, *_push_readers(settings)],
        resource,
        exemplar_filter or _exemplar_filter(settings.exemplar_filter),
        views=views,
        worker=Worker(service.open_store, service),
        cardinality_limit=settings.cardinality_limit,
        measures_itself=True,
        is_worker=identity.joined or (settings.sends and not is_first(sys.orig_argv)),
    )
    metric.install(provider, naming)
    if settings.runtime_metrics:
        _start_runtime_metrics()
    Refresher(provider)
    pipeline = Pipeline(settings, provider, service.run_dir)
    _enter_registry(pipeline)
    _become_global(provider)
    _start_server(pipeline, service)
    if settings.sends:
        from otel_obs._sending import Sending

        _Running.sending = Sending(settings, provider)
    return pipeline


def _start_server(pipeline: Pipeline, service: Service) -> None:
    """Serve `/metrics` on a port of its own, where one is set."""
    settings = pipeline.settings
    scrape = _scrape(pipeline) if settings.prometheus_port is not None else None
    if scrape is not None and settings.prometheus_port is not None:
        from otel_obs._server import MetricsServer

        tls = (settings.metrics_tls_certificate, settings.metrics_tls_key)
        _Running.server = MetricsServer(
            scrape, settings.prometheus_host, settings.prometheus_port, service, tls if all(tls) else None
        )
        _Running.server.start()


def _push_readers(settings: Settings) -> list[Any]:
    if set(settings.metrics_exporters) <= {"prometheus"}:
        return []
    from otel_obs._exporters import push_readers

    return push_readers(settings)


def _exemplar_filter(name: str) -> Any:
    if name == "trace_based":
        return None
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter

    return AlwaysOnExemplarFilter() if name == "always_on" else AlwaysOffExemplarFilter()


def _start_runtime_metrics() -> None:
    from otel_obs.catalog import runtime

    runtime.start()


def _enter_registry(pipeline: Pipeline) -> None:
    """Show our metrics in `prometheus_client`'s registry too, from when the application imports it."""
    from wrapt import register_post_import_hook

    from otel_obs._registry import Collector

    collector = _Running.collector = Collector(pipeline)

    def register(module: object) -> None:
        if _Running.collector is not None:
            _Running.collector.register()

    def install(module: Any) -> None:
        if _Running.collector is collector:
            module.install(pipeline)

    register_post_import_hook(register, "prometheus_client")
    register_post_import_hook(install, "otel_obs.prometheus")


def _become_global(provider: MeterProvider) -> None:
    """Let what is made through the API record here, unless the application has set a provider itself."""
    if isinstance(metrics.get_meter_provider(), DeferredProvider):
        return
    metrics.set_meter_provider(provider)
    if metrics.get_meter_provider() is not provider:
        _logger.warning(
            "the application has a meter provider of its own; what is recorded through it is not on /metrics"
        )


def instrument(app: AppT, **options: Any) -> AppT:
    """Measure an application and serve `/metrics` beside it.

    Args:
        app: A Flask, FastAPI or Starlette application, or any WSGI or ASGI callable.
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
    if _Running.sending is not None:
        _Running.sending.trace(app)
    observer, scrape = measuring()
    module = _framework_of(app)
    if module == "flask":
        from otel_obs import flask

        flask.instrument_app(app, observer, scrape, exclude=_exclusion("flask"))  # type: ignore[arg-type]
        return app
    if module == "starlette":
        from otel_obs import fastapi

        fastapi.instrument_app(app, observer, scrape, exclude=_exclusion("fastapi"))  # type: ignore[arg-type]
        return app
    wrapped: AppT = _wrap(app, observer, scrape)
    return wrapped


def _framework_of(app: object) -> str:
    names = {kind.__module__.partition(".")[0] for kind in type(app).__mro__}
    return next((name for name in ("flask", "starlette") if name in names), "")


def _wrap(app: Any, observer: Observer, scrape: Scrape | None) -> Any:
    if _is_asgi(app):
        from otel_obs.http import asgi

        return asgi.Middleware(app, observer, scrape)
    return _wsgi_middleware(app, observer, scrape)


def _wsgi_middleware(app: Any, observer: Observer, scrape: Scrape | None) -> Any:
    """A bound `Flask.wsgi_app` knows its application, and so its routes."""
    if _framework_of(getattr(app, "__self__", None)) == "flask":
        from otel_obs import flask

        return flask.middleware(app, observer, scrape, exclude=_exclusion("flask"))
    from otel_obs.http import wsgi

    return wsgi.Middleware(app, observer, scrape)


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
            self._measured = _wsgi_middleware(wsgi_app, *measuring())

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Any:
        return self._measured(environ, start_response)


def instrument_all() -> None:
    """Measure every Flask, FastAPI and Starlette application of this process, as they are imported."""
    from wrapt import register_post_import_hook

    register_post_import_hook(_configure_for, "otel_obs.catalog.metric")
    register_post_import_hook(_install_flask, "flask")
    register_post_import_hook(_install_starlette, "starlette.applications")
    register_post_import_hook(_install_starlette, "fastapi.applications")
    if _Running.sending is not None:
        _Running.sending.trace_frameworks()


def _configure_for(module: object) -> None:
    """The application imports metrics of the catalog: it is going to record."""
    configure()


def _install_flask(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import flask

    flask.install(*measuring(), exclude=_exclusion("flask"))


def _install_starlette(module: object) -> None:
    if configure() is None:
        return
    from otel_obs import fastapi

    fastapi.install(*measuring(), exclude=_exclusion("fastapi"))


def leaves_http_upstream() -> bool:
    """Whether OpenTelemetry's own instrumentations measure requests, and otel_obs does not."""
    settings = _settings({})
    return settings is None or settings.http == "upstream"


def measuring() -> tuple[Observer, Scrape | None]:
    """What requests are recorded with, and what answers scrapes; made when they are first needed."""
    pipeline = _Running.pipeline
    if pipeline is None:
        raise RuntimeError("otel_obs is not configured")
    if _Running.observer is None:
        _Running.observer = _observer(pipeline.settings)
        _Running.scrape = _scrape(pipeline)
    return _Running.observer, _Running.scrape


def _observer(settings: Settings) -> Observer:
    from otel_obs.catalog import http
    from otel_obs.catalog.naming import Naming
    from otel_obs.http.naming import Classic, Semconv
    from otel_obs.http.observe import HttpInstruments, Observer

    naming = Naming.from_settings(settings)
    recorded: Mapping[str, Any] = http.instruments(naming, settings.http_sizes)
    if settings.http != "on":
        recorded = {}
    families = http.families(naming)
    profile = Semconv(families) if settings.profile == "semconv" else Classic(families)
    return Observer(HttpInstruments(**recorded), profile, exclude=_exclusion(""))


def _scrape(pipeline: Pipeline) -> Scrape | None:
    from otel_obs.http.scrape import Scrape

    settings = pipeline.settings
    if "prometheus" not in settings.metrics_exporters:
        return None
    return Scrape(pipeline, path=settings.metrics_path, token=settings.read_metrics_token())


def _exclusion(framework: str) -> Any:
    from otel_obs.http.exclusion import Exclusion

    pipeline = _Running.pipeline
    return Exclusion(pipeline.settings.excluded_urls_for(framework) if pipeline else ())


def get_metrics(accept: str | None = None) -> tuple[bytes, str]:
    """An exposition over all workers, for a route of one's own.

    Args:
        accept: The request's Accept header; None is text 0.0.4.

    Returns:
        The body, and its content type without a charset: Flask's `mimetype=` and Starlette's
        `media_type=` add that themselves.
    """
    pipeline = configure()
    return pipeline.metrics(accept) if pipeline is not None else (b"", "text/plain; version=0.0.4")


def shutdown() -> None:
    """Flush and stop what `configure` has set up, so that it can be called again."""
    pipeline, _Running.pipeline = _Running.pipeline, None
    _Running.observer = _Running.scrape = None
    _Running.is_refused = False
    sending, _Running.sending = _Running.sending, None
    if sending is not None:
        sending.shutdown()
    server, _Running.server = _Running.server, None
    if server is not None:
        server.stop()
    collector, _Running.collector = _Running.collector, None
    if collector is not None and "prometheus_client" in sys.modules:
        collector.unregister()
    if "otel_obs.catalog.metric" in sys.modules:
        sys.modules["otel_obs.catalog.metric"].uninstall()
    for name in ("flask", "fastapi", "prometheus"):
        module = sys.modules.get(f"otel_obs.{name}")
        if module is not None:
            module.uninstall()
    if pipeline is not None:
        pipeline.provider.shutdown()
