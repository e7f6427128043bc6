"""The composition root: what is put together in a process, when, and how it ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics

from otel_obs.cells.ancestry import is_first
from otel_obs.cells.rundir import Identity, default_bases, identify
from otel_obs.cells.service import Service
from otel_obs.errors import SettingError
from otel_obs.settings import Settings, process_environment

if TYPE_CHECKING:
    from otel_obs._pipeline import Pipeline
    from otel_obs._registry import Collector
    from otel_obs._sending import Sending
    from otel_obs._server import MetricsServer
    from otel_obs.http.scrape import Scrape

# The wrapper loads this module in every Python process that the application starts. What a process
# needs only when it measures something is imported then.
_logger = logging.getLogger("otel_obs")


class Running:
    """What is configured in this process."""

    service: tuple[Identity, Service] | None = None
    pipeline: Pipeline | None = None
    scrape: Scrape | None = None
    collector: Collector | None = None
    server: MetricsServer | None = None
    sending: Sending | None = None
    is_refused = False
    is_building = False
    is_over = False


def prepare() -> bool:
    """Get ready to set up metrics as soon as this process turns out to measure something.

    Most Python processes never do: the helpers that an application starts, and the masters of servers.

    Returns:
        Whether otel_obs is on, and the environment's settings make sense.
    """
    settings = settings_in_force()
    if settings is None or _join(settings) is None:
        return False
    if settings.sends or settings.prometheus_port is not None:
        configure()
    elif Running.pipeline is None:
        _become_global()
    return True


class DeferredProvider(metrics.MeterProvider):
    """The global provider: that of the pipeline, which is made when somebody asks for a meter."""

    def get_meter(self, *arguments: Any, **options: Any) -> metrics.Meter:
        """A meter of the provider that `configure` makes."""
        pipeline = Running.pipeline if Running.is_over else configure()
        provider = pipeline.provider if pipeline is not None else metrics.NoOpMeterProvider()
        return provider.get_meter(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        """What the SDK's provider has beside the API's, such as `force_flush`."""
        pipeline = Running.pipeline if name.startswith("_") or Running.is_over else configure()
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
    if Running.pipeline is not None or Running.is_building:
        return Running.pipeline
    settings = settings_in_force(**options)
    joined = _join(settings) if settings is not None else None
    if settings is None or joined is None:
        return None
    Running.is_building, Running.is_over = True, False
    try:
        Running.pipeline = _build(settings, joined, readers, views, resource, exemplar_filter)
    except SettingError as error:
        _refuse(error)
    finally:
        Running.is_building = False
    return Running.pipeline


def settings_in_force(**options: Any) -> Settings | None:
    """What the environment and *options* say; None where otel_obs is to do nothing."""
    if Running.is_refused:
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
    if Running.service is None:
        environ = process_environment()
        identity = identify(environ, sys.orig_argv)
        if identity is None:
            return None
        if settings.run_dir:
            service = Service([settings.run_dir], identity.nonce, "OTEL_OBS_RUN_DIR")
        else:
            service = Service(default_bases(environ), identity.nonce)
        Running.service = identity, service
    return Running.service


def _warn_once(warning: str) -> None:
    if warning not in _said:
        _said.add(warning)
        _logger.warning("%s", warning)


_said: set[str] = set()


def _refuse(error: SettingError) -> None:
    """Say once why there are no metrics; the application goes on without."""
    Running.is_refused = True
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
    from otel_obs.http.naming import RIVAL_SCOPES
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
        ignored_scopes=sorted(RIVAL_SCOPES) if settings.http == "on" else (),
        measures_itself=True,
        is_worker=identity.joined or (settings.sends and not is_first(sys.orig_argv)),
    )
    metric.install(provider, naming)
    if settings.runtime_metrics:
        _start_runtime_metrics()
    Refresher(provider)
    pipeline = Pipeline(settings, provider, service.run_dir)
    Running.scrape = _scrape(pipeline)
    _enter_registry(pipeline)
    _become_global()
    _start_server(pipeline, service)
    if settings.sends:
        from otel_obs._sending import Sending

        Running.sending = Sending(settings, provider)
    return pipeline


def _start_server(pipeline: Pipeline, service: Service) -> None:
    """Serve `/metrics` on a port of its own, where one is set."""
    settings = pipeline.settings
    scrape = Running.scrape
    if scrape is not None and settings.prometheus_port is not None:
        from otel_obs._server import MetricsServer

        tls = (settings.metrics_tls_certificate, settings.metrics_tls_key)
        Running.server = MetricsServer(
            scrape, settings.prometheus_host, settings.prometheus_port, service, tls if all(tls) else None
        )
        Running.server.start()


def _scrape(pipeline: Pipeline) -> Scrape | None:
    """What answers scrapes; None where `/metrics` is not wanted."""
    settings = pipeline.settings
    if "prometheus" not in settings.metrics_exporters:
        return None
    from otel_obs.http.scrape import Scrape

    return Scrape(pipeline, path=settings.metrics_path, token=settings.read_metrics_token())


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

    collector = Running.collector = Collector(pipeline)

    def register(module: object) -> None:
        if Running.collector is not None:
            Running.collector.register()

    def install(module: Any) -> None:
        if Running.collector is collector:
            module.install(pipeline)

    register_post_import_hook(register, "prometheus_client")
    register_post_import_hook(install, "otel_obs.prometheus")


def _become_global() -> None:
    """Let what is made through the API record here, unless the application has set a provider itself."""
    if isinstance(metrics.get_meter_provider(), DeferredProvider):
        return
    metrics.set_meter_provider(DeferredProvider())
    if not isinstance(metrics.get_meter_provider(), DeferredProvider):
        _logger.warning(
            "the application has a meter provider of its own; what is recorded through it is not on /metrics"
        )


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


on_shutdown: list[Callable[[], None]] = []
"""What else is to be undone, by those who have done it."""


def shutdown() -> None:
    """Flush and stop what `configure` has set up, so that it can be called again."""
    pipeline, Running.pipeline = Running.pipeline, None
    Running.scrape = None
    Running.service = None
    Running.is_refused, Running.is_over = False, True
    for undo in on_shutdown:
        undo()
    sending, Running.sending = Running.sending, None
    if sending is not None:
        sending.shutdown()
    server, Running.server = Running.server, None
    if server is not None:
        server.stop()
    collector, Running.collector = Running.collector, None
    if collector is not None and "prometheus_client" in sys.modules:
        collector.unregister()
    if "otel_obs.catalog.metric" in sys.modules:
        sys.modules["otel_obs.catalog.metric"].uninstall()
    if "otel_obs.prometheus" in sys.modules:
        sys.modules["otel_obs.prometheus"].uninstall()
    if pipeline is not None:
        pipeline.provider.shutdown()
