"""Builds the parts of a process that measures, and registers for each part how it is undone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_obs import compiled
from otel_obs.assembly.pipeline import Pipeline
from otel_obs.assembly.role import Role
from otel_obs.assembly.signs import SignOfLife
from otel_obs.assembly.standing_in import stand_in_when_imported
from otel_obs.catalog.kit import metric
from otel_obs.catalog.kit.naming import Naming
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.errors import SettingError
from otel_obs.frameworks.known import RIVAL_SCOPES
from otel_obs.host.imports import when_imported
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.identity import Identity, is_first
from otel_obs.sdk import MeterProvider
from otel_obs.sdk.refresh import Refresher
from otel_obs.settings import Settings

if TYPE_CHECKING:
    from otel_obs.push.declared import Declared
    from otel_obs.push.sending import Sending
    from otel_obs.serving.scrape import Scrape
    from otel_obs.serving.server import MetricsServer

_logger = logging.getLogger("otel_obs")

Later = Callable[[Callable[[], object]], object]
"""Registers a function that undoes one step; `Undoing` calls the last registered one first."""


class Wanted(NamedTuple):
    """The arguments of `configure` that are not settings."""

    readers: Sequence[Any] = ()
    views: Sequence[Any] = ()
    resource: Any = None
    exemplar_filter: Any = None
    declared: Declared | None = None


class Built(NamedTuple):
    """The parts of a process that measures."""

    pipeline: Pipeline
    scrape: Scrape | None
    server: MetricsServer | None
    sending: Sending | None


def build(
    settings: Settings, identity: Identity, service: Service, wanted: Wanted, undo_later: Later
) -> Built:
    """Build and start all parts.

    Args:
        settings: The settings of the environment and of the code.
        identity: Which process of the service this is.
        service: The service.
        wanted: The other arguments of `configure`.
        undo_later: Called with a part's undoing before the part is installed, so that an interrupted
            build, as by an exception of a signal handler, is undone completely.

    Raises:
        SettingError: A setting turns out wrong as it is used.
    """
    # Validate first: a wrong setting must raise before anything is opened or installed.
    naming = Naming.from_settings(settings)
    metric.check_naming(naming)
    wanted = _with_declared(wanted, service)
    token, tls = _token(settings), settings.tls_files
    worker = Worker(service.open_store, service)
    undo_later(worker.close)
    provider = MeterProvider(
        [*wanted.readers, *_push_readers(settings, service)],
        wanted.resource,
        wanted.exemplar_filter or _exemplar_filter(settings.exemplar_filter),
        views=wanted.views,
        worker=worker,
        cardinality_limit=settings.cardinality_limit,
        ignored_scopes=sorted(RIVAL_SCOPES) if settings.http == "on" else (),
        measures_itself=True,
        is_worker=identity.joined or (settings.sends and not is_first(identity)),
    )
    # For a build that fails before the second `provider.close` below.
    undo_later(provider.close)
    undo_later(metric.uninstall)
    metric.install(provider, naming)
    compiled.choose(settings.compiled)
    role = Role(worker, service)
    worker.on_open.append(partial(_fold_piled, service))
    if settings.runtime_metrics:
        from otel_obs.catalog import runtime, workers

        undo_later(runtime.stop)
        runtime.start(role.is_worker, role.has_recorded)
        # A forked child opens a store of its own at its first record; each opening counts one worker.
        worker.on_open.append(workers.otel_obs_workers_started_total.refresh)
    refresher = Refresher(provider)
    undo_later(refresher.stop)
    # Undone before the parts above: the last push must still have the callbacks and the runtime metrics.
    undo_later(provider.close)
    pipeline = Pipeline(settings, provider, service.run_dir, role.is_worker)
    undo_later(pipeline.close)
    scrape = _scrape(pipeline, service, token)
    signs = SignOfLife(pipeline, service)
    if scrape is not None:
        refresher.after_start = (
            signs.say_after_start if settings.has_own_server else signs.say_for_application
        )
    return Built(
        pipeline,
        scrape if settings.serves_on_app else None,
        _server(settings, scrape, service, tls, signs, undo_later),
        _sending(settings, provider, service, undo_later),
    )


def _fold_piled(service: Service) -> None:
    from otel_obs.cells.piling import fold_piled

    for run_dir in service.known_dirs():
        fold_piled(run_dir)


def _with_declared(wanted: Wanted, service: Service) -> Wanted:
    """Add the readers and views of the configuration file, and its resource unless code gives one."""
    declared = wanted.declared
    if declared is None:
        return wanted
    if declared.unsupported and service.claims("config"):
        for line in declared.unsupported:
            _logger.warning("%s", line)
    try:
        declared.hand_over()
    except Exception as error:
        raise_interruption(error)
        _logger.error("OTEL_CONFIG_FILE: what is not of metrics could not be set up: %s", error)
    return wanted._replace(
        readers=[*wanted.readers, *declared.make_readers()],
        views=[*declared.views, *wanted.views],
        resource=wanted.resource or declared.resource,
    )


def _token(settings: Settings) -> Callable[[], str]:
    """Return a function that gives the token which scrapes must send, read again when its file changes.

    Raises:
        SettingError: The file cannot be read, or holds no token.
    """
    if settings.metrics_token or not settings.metrics_token_file:
        return lambda: settings.metrics_token
    from otel_obs.serving.guards import Watched

    return Watched([settings.metrics_token_file], settings.read_metrics_token)


def _scrape(pipeline: Pipeline, service: Service, token: Callable[[], str]) -> Scrape | None:
    """Make what answers scrapes; None where no `prometheus` exporter is chosen."""
    settings = pipeline.settings
    if "prometheus" not in settings.metrics_exporters:
        return None
    source, path = _ScrapeSource(pipeline, service), settings.metrics_path
    options: dict[str, Any] = {
        "path": path,
        "token": token,
        "has_slash": settings.metrics_slash,
        "is_inside": settings.metrics_inside,
    }
    if settings.live in ("/", path):
        raise SettingError("OTEL_OBS_LIVE", settings.live, "is taken; expected a path such as /metrics/live")
    if settings.live:
        from otel_obs.serving.live_page import LiveScrape

        return LiveScrape(source, live_path=settings.live, traces=settings.live_traces, **options)
    from otel_obs.serving.scrape import Scrape

    return Scrape(source, **options)


class _ScrapeSource:
    """The pipeline for scrapes; the first scrape logs which processes it may not be able to show."""

    def __init__(self, pipeline: Pipeline, service: Service) -> None:
        self._pipeline, self._service = pipeline, service

    def collect(self, accept: str | None, names: Sequence[str] = ()) -> tuple[str, Iterator[bytes]]:
        self._service.say_what_is_unknown()
        return self._pipeline.collect(accept, names)


def _server(
    settings: Settings,
    scrape: Scrape | None,
    service: Service,
    tls: tuple[str, str] | None,
    signs: SignOfLife,
    undo_later: Later,
) -> MetricsServer | None:
    """Serve `/metrics` on a port of its own, where one is set."""
    if scrape is None or not settings.has_own_server:
        return None
    from otel_obs.serving.address import address_of
    from otel_obs.serving.server import MetricsServer

    address = address_of(settings.prometheus_host, settings.prometheus_port)
    server = MetricsServer(scrape, address, service, tls, signs.say_for_server)
    undo_later(server.stop)
    server.start()
    return server


def _sending(
    settings: Settings, provider: MeterProvider, service: Service, undo_later: Later
) -> Sending | None:
    if not settings.sends:
        return None
    from otel_obs.push.sending import Sending

    return Sending(settings, provider, undo_later, service.claims)


def _push_readers(settings: Settings, service: Service) -> list[Any]:
    if set(settings.metrics_exporters) <= {"prometheus"}:
        return []
    from otel_obs.push.exporters import readers_named

    return readers_named(settings, service.claims)


def _exemplar_filter(name: str) -> Any:
    if name == "trace_based":
        return None
    from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter

    return AlwaysOnExemplarFilter() if name == "always_on" else AlwaysOffExemplarFilter()


def enter_registry(pipeline: Pipeline, undo_later: Later) -> None:
    """Register our metrics with `prometheus_client` when, and only if, the application imports it.

    The last step of a set-up: what its metrics have counted so far goes to the cells, and would be lost with
    them if a later step failed.
    """

    def register(_: object) -> None:
        from otel_obs.assembly.client_registry import MergedCollector

        collector = MergedCollector(pipeline)
        undo_later(collector.unregister)
        collector.register()

    def install(module: Any) -> None:
        undo_later(module.uninstall)
        module.install(pipeline)

    undo_later(when_imported("prometheus_client", register))
    undo_later(when_imported("otel_obs.prometheus", install))
    if pipeline.settings.client:
        stand_in_when_imported(undo_later)
