"""The composition root: what is put together in a process, when, and how it ends."""

from __future__ import annotations

import logging
import sys
from _thread import RLock, get_ident
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry import metrics

from otel_obs.assembly.standing_in import stand_in_when_imported
from otel_obs.cells.membership import Service
from otel_obs.errors import SettingError
from otel_obs.host import forks
from otel_obs.host.forgiving import forgiving
from otel_obs.host.once import LogOnce, share
from otel_obs.host.signals import raise_interruption
from otel_obs.host.undoing import Undoing
from otel_obs.rundir import FILES_VERSION
from otel_obs.rundir.directory import default_bases
from otel_obs.rundir.identity import Identity, identify
from otel_obs.settings import Settings, process_environment

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from otel_obs.assembly.build import Wanted
    from otel_obs.assembly.pipeline import Pipeline
    from otel_obs.push.declared import Declared
    from otel_obs.push.sending import Sending
    from otel_obs.sdk.deferred import DeferredMeters
    from otel_obs.serving.scrape import Scrape
    from otel_obs.serving.server import MetricsServer
    from otel_obs.settings.options import SettingOptions

# The wrapper loads this module in every Python process that the application starts. What a process
# needs only when it measures something is imported then.
_logger = logging.getLogger("otel_obs")
_once = LogOnce()

PATIENCE_S = 30.0
"""So long a thread waits for the set-up that another one has begun."""


class Running:
    """What is configured in this process."""

    service: tuple[Identity, Service] | None = None
    pipeline: Pipeline | None = None
    scrape: Scrape | None = None
    server: MetricsServer | None = None
    sending: Sending | None = None
    undoing = Undoing()
    """All that was installed since the last `shutdown`: whoever installs something adds its undoing."""
    is_refused = False
    is_over = False
    declared: Declared | None = None
    """What the configuration file says, once it was read."""
    builder: int | None = None
    """The thread that is setting up."""
    loaders: ClassVar[set[int]] = set()
    """The threads that import what a set-up needs; each of them sets up afterwards."""
    lock = RLock()
    """Held while something is set up or shut down. Nothing is imported under it for the first time: a thread
    that imports our modules just now, and has come here from there, may be waiting for it."""


def _start_over() -> None:
    """In a child: the thread that was setting up, or had the lock, is not here."""
    Running.lock = RLock()
    Running.loaders.intersection_update({get_ident()})
    if Running.builder is not None and Running.builder != get_ident():
        Running.builder = None


forks.after_in_child(_start_over)


def prepare() -> bool:
    """Get ready to set up metrics as soon as this process turns out to measure something.

    Most Python processes never do: the helpers that an application starts, and the masters of servers.

    Returns:
        Whether otel_obs is on, and the environment's settings make sense.
    """
    settings = settings_in_force()
    with Running.lock:
        if settings is None or _join(settings) is None:
            return False
        Running.is_over = False
    if settings.sends or settings.has_own_server or Running.declared is not None:
        configure()
    elif Running.pipeline is None:
        _become_global()
    if settings.client:
        stand_in_when_imported(Running.undoing.later)
    return True


class DeferredProvider(metrics.MeterProvider):
    """The global provider. Its meters record to the pipeline, whenever that is made, and however often."""

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> metrics.Meter:
        """A meter of the provider that `configure` makes, now where nobody has begun to."""
        if Running.pipeline is None and Running.builder is None and not Running.is_over:
            _configure_quietly()
        return _deferred_meters().get_meter(name, version, schema_url, attributes)

    def __getattr__(self, name: str) -> Any:
        """What the SDK's provider has beside the API's, such as `force_flush`."""
        pipeline = Running.pipeline if name.startswith("_") or Running.is_over else configure()
        if pipeline is None:
            raise AttributeError(name)
        return getattr(pipeline.provider, name)


def _configure_quietly() -> None:
    try:
        configure()
    except Exception as error:
        raise_interruption(error)
        _once.error("set-up", "otel_obs could not be set up; this process runs without metrics", error=error)


def _deferred_meters() -> DeferredMeters:
    from otel_obs.sdk.deferred import METERS

    return METERS


def configure(
    *,
    readers: Sequence[Any] = (),
    views: Sequence[Any] = (),
    resource: Any = None,
    exemplar_filter: Any = None,
    **options: Unpack[SettingOptions],
) -> Pipeline | None:
    """Set up metrics for this process, once; a second call changes nothing.

    Args:
        readers: Further metric readers of the SDK.
        views: Views of the SDK.
        resource: The SDK's `Resource`; by default what the environment says.
        exemplar_filter: The SDK's; by default what the environment says.
        options: Settings by their names, in place of the environment's: `namespace="shop"`.

    Returns:
        The pipeline; None where otel_obs is switched off, or a variable has a wrong value, which is logged,
        and where this thread is in the middle of setting it up.

    Raises:
        SettingError: One of *options* has a wrong value.
    """
    if Running.pipeline is not None or Running.builder == get_ident():
        given = {"readers": readers, "views": views, "resource": resource, "exemplar_filter": exemplar_filter}
        _warn_if_late({name for name, value in given.items() if value}, dict(options))
        return Running.pipeline
    settings = settings_in_force(**options)
    if settings is None:
        return None
    if not _load():
        return None
    from otel_obs.assembly.build import Wanted

    wanted = Wanted(readers, views, resource, exemplar_filter, Running.declared)
    # A fork that is noticed in the middle would have its hook put another lock in the place of the one held.
    forks.check()
    lock = Running.lock
    if not lock.acquire(timeout=PATIENCE_S):
        _logger.error("another thread has been setting up otel_obs for %g s; this one goes on", PATIENCE_S)
        return Running.pipeline
    try:
        if Running.pipeline is None:
            _set_up(settings, wanted)
        return Running.pipeline
    finally:
        lock.release()


def _load() -> bool:
    """Import what a set-up needs, before the lock; false where this thread is in the middle of that."""
    thread = get_ident()
    if thread in Running.loaders:
        return False
    Running.loaders.add(thread)
    try:
        import_module("otel_obs.assembly.build")
    finally:
        Running.loaders.discard(thread)
    return True


def _warn_if_late(given: set[str], options: dict[str, Any]) -> None:
    """Say what of a further call has no effect, as far as it differs from what is set up."""
    pipeline = Running.pipeline
    if pipeline is None or not (given or options):
        return
    present = pipeline.settings
    late = {name for name in options if present.with_options(**{name: options[name]}) != present}
    if given | late:
        names = ", ".join(sorted(given | late))
        _once.warning(
            ("late", names), "otel_obs is set up already, without %s: give that with the first call", names
        )


def _set_up(settings: Settings, wanted: Wanted) -> None:
    """Make the pipeline, or leave everything as it was."""
    from otel_obs.assembly.build import build

    joined = _join(settings)
    if joined is None:
        return
    life = Undoing()
    Running.undoing.later(life.unwind)
    deferred = _deferred_meters()
    deferred.begin()
    Running.builder, Running.is_over = get_ident(), False
    try:
        life.later(_forget)
        # Undone after the provider: what is pushed last has what these meters have recorded.
        life.later(deferred.release)
        built = build(settings, *joined, wanted, life.later)
        Running.pipeline, Running.scrape, Running.server, Running.sending = built
        deferred.move_to(built.pipeline.provider)
        joined[1].begin(built.pipeline.provider.worker)
        share(joined[1].claim)
        life.later(partial(share, None))
    except SettingError as error:
        life.unwind()
        _refuse(error)
    except BaseException:
        life.unwind()
        raise
    finally:
        Running.builder = None
        deferred.end()
    if Running.pipeline is not None:
        _become_global()


def _forget() -> None:
    Running.pipeline = Running.scrape = Running.server = Running.sending = None


def settings_in_force(**options: Any) -> Settings | None:
    """What the environment and *options* say; None where otel_obs is to do nothing."""
    if Running.is_refused:
        return None
    try:
        settings = Settings.from_env()
    except SettingError as error:
        _refuse(error)
        return None
    try:
        settings = _with_file(settings)
    except SettingError as error:
        _refuse(error)
        return None
    settings = settings.with_options(**options)
    for warning in settings.warnings:
        _once.warning(warning, "%s", warning)
    return settings if settings.is_on else None


def _with_file(settings: Settings) -> Settings:
    """What the configuration file says in place of the environment."""
    if not settings.config_file or not settings.is_on:
        return settings
    from otel_obs.push import declared

    if Running.declared is None:
        Running.declared = declared.read(settings.config_file)
    return declared.applied(settings, Running.declared)


def _join(settings: Settings) -> tuple[Identity, Service] | None:
    """This process's place among the service's workers; None for a helper of multiprocessing."""
    if Running.service is None:
        environ = process_environment()
        identity = identify(environ, sys.orig_argv, settings.service_id, FILES_VERSION)
        if identity is None:
            return None
        if settings.run_dir:
            service = Service([settings.run_dir], identity.nonce, "OTEL_OBS_RUN_DIR", identity)
        else:
            service = Service(default_bases(environ), identity.nonce, identity=identity)
        Running.undoing.later(_leave)
        Running.service = identity, service
    return Running.service


def _refuse(error: SettingError) -> None:
    """Say once why there are no metrics; the application goes on without."""
    Running.is_refused = True
    _logger.error("%s; this process runs without metrics", error)


def _become_global() -> None:
    """Let what is made through the API record here, unless the application has set a provider itself."""
    if isinstance(metrics.get_meter_provider(), DeferredProvider):
        return
    # This makes every meter and instrument that was asked for before; a wrong one must not hinder the others.
    with forgiving():
        metrics.set_meter_provider(DeferredProvider())
    if not isinstance(metrics.get_meter_provider(), DeferredProvider):
        _logger.warning(
            "the application has a meter provider of its own; what is recorded through it is not on /metrics"
        )


def is_under_way() -> bool:
    """Whether a thread is setting up just now, or is about to."""
    return Running.builder is not None or bool(Running.loaders)


def shutdown() -> None:
    """Flush and stop what was set up, and leave the process as it was, so that all can be set up again.

    Instruments live on: what they record from the next `configure` on is seen again.
    """
    with Running.lock:
        undoing, Running.undoing = Running.undoing, Undoing()
        Running.is_over = True
        undoing.unwind()
        Running.is_refused = False
        Running.declared = None


def _leave() -> None:
    """Be no worker of the service any more."""
    joined, Running.service = Running.service, None
    if joined is not None:
        joined[1].close()
