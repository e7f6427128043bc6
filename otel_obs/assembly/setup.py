"""The composition root: sets a process up, once, at the time it is needed, and shuts it down."""

from __future__ import annotations

import logging
import sys
from _thread import RLock, get_ident
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from otel_obs.assembly.standing_in import stand_in_when_imported
from otel_obs.cells.membership import Service
from otel_obs.errors import SettingError
from otel_obs.host import forks
from otel_obs.host.imports import when_imported
from otel_obs.host.once import LogOnce, share_lines
from otel_obs.host.undoing import Undoing
from otel_obs.rundir import FILES_VERSION
from otel_obs.rundir.bases import default_bases
from otel_obs.rundir.identity import Identity, identify
from otel_obs.settings import Settings, process_environment

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import ExemplarFilter
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import Resource
    from typing_extensions import Unpack

    from otel_obs.assembly.build import Wanted
    from otel_obs.assembly.pipeline import Pipeline
    from otel_obs.push.declared import Declared
    from otel_obs.push.sending import Sending
    from otel_obs.serving.scrape import Scrape
    from otel_obs.serving.server import MetricsServer
    from otel_obs.settings.setup_options import SettingOptions

# The wrapper loads this module in every Python process that the application starts. What only a
# measuring process needs is imported when it begins to measure.
_logger = logging.getLogger("otel_obs")
_once = LogOnce()

# The API first: the thread that imports it waits for the second one, in `_become_global`.
_NEEDED = (
    "opentelemetry.metrics",
    "otel_obs.assembly.deferred_provider",
    "otel_obs.sdk.deferred",
    "otel_obs.assembly.build",
)
"""What a set-up imports."""

PATIENCE_S = 30.0
"""How long a thread waits for the set-up of another thread."""


class Running:
    """What is configured in this process."""

    service: tuple[Identity, Service] | None = None
    pipeline: Pipeline | None = None
    scrape: Scrape | None = None
    server: MetricsServer | None = None
    sending: Sending | None = None
    undoing = Undoing()
    """How to undo all that was installed since the last `shutdown`; added before each installation."""
    is_refused = False
    is_over = False
    declared: Declared | None = None
    """The configuration file, once it was read."""
    builder: int | None = None
    """The id of the thread that is setting up."""
    loaders: ClassVar[set[int]] = set()
    """The ids of threads that are importing what a set-up needs; each of them sets up next."""
    lock = RLock()
    """Held during set-up and shutdown. Import our modules before taking it: another thread may hold the
    import lock of one and wait for this lock, since an import can lead to `configure`."""


def _start_over() -> None:
    """Reset in a forked child: only the forking thread lives on, so another's lock is never released."""
    Running.lock = RLock()
    Running.loaders.intersection_update({get_ident()})
    if Running.builder is not None and Running.builder != get_ident():
        Running.builder = None


forks.after_in_child(_start_over)


def prepare() -> bool:
    """Prepare for a set-up at the first measurement of this process.

    Most Python processes never measure: the helpers that an application starts, and the masters of servers.

    Returns:
        Whether otel_obs is on, and the environment's settings are valid.
    """
    settings = settings_in_force()
    with Running.lock:
        if settings is None or _join(settings) is None:
            return False
        Running.is_over = False
    if settings.sends or settings.has_own_server or Running.declared is not None:
        configure()
    elif Running.pipeline is None:
        # Without the API's metrics nobody can ask for a provider, and most processes never import them.
        Running.undoing.later(when_imported("opentelemetry.metrics", _become_global))
    if settings.client:
        stand_in_when_imported(Running.undoing.later)
    return True


def configure(
    *,
    readers: Sequence[MetricReader] = (),
    views: Sequence[View] = (),
    resource: Resource | None = None,
    exemplar_filter: ExemplarFilter | None = None,
    **options: Unpack[SettingOptions],
) -> Pipeline | None:
    """Set up metrics for this process, once; a second call changes nothing.

    Args:
        readers: Further metric readers of the SDK.
        views: Views of the SDK.
        resource: The SDK's `Resource`; by default that of the environment.
        exemplar_filter: The SDK's; by default that of the environment.
        options: Settings by their names, in place of the environment's: `namespace="shop"`.

    Returns:
        The pipeline; None where otel_obs is switched off, where a variable has a wrong value (logged), and
        where this thread is in the middle of a set-up.

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
    # Now, not under the lock: if this is a child whose fork ran no hooks, `_start_over` replaces the lock.
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
    """Import what a set-up needs, before the lock; false where this thread is importing it already."""
    thread = get_ident()
    if thread in Running.loaders:
        return False
    Running.loaders.add(thread)
    try:
        for name in _NEEDED:
            import_module(name)
    finally:
        Running.loaders.discard(thread)
    return True


def _warn_if_late(given: set[str], options: dict[str, Any]) -> None:
    """Warn of arguments of a later call that differ from those in force, and so have no effect."""
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
    from otel_obs.assembly.build import build, enter_registry
    from otel_obs.sdk.deferred import METERS as deferred

    joined = _join(settings)
    if joined is None:
        return
    life = Undoing()
    Running.undoing.later(life.unwind)
    deferred.begin()
    Running.builder, Running.is_over = get_ident(), False
    try:
        life.later(_forget)
        # Registered before `build`, so undone after the provider: its last push has these meters' series.
        life.later(deferred.release)
        built = build(settings, *joined, wanted, life.later)
        pipeline, Running.scrape, Running.server, Running.sending = built
        Running.pipeline = pipeline  # last: other threads take it as the sign that the rest is there
        deferred.move_to(built.pipeline.provider)
        joined[1].begin(built.pipeline.provider.worker)
        enter_registry(pipeline, life.later)
        share_lines(joined[1].claim)
        life.later(partial(share_lines, None))
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


def _become_global(api: object = None) -> None:
    from otel_obs.assembly import deferred_provider

    deferred_provider.become_global()


def settings_in_force(**options: Any) -> Settings | None:
    """Read the settings of the environment and *options*; None where otel_obs is off or refused."""
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
    """Apply the configuration file, which takes precedence over the environment."""
    if not settings.config_file or not settings.is_on:
        return settings
    from otel_obs.push import declared

    if Running.declared is None:
        Running.declared = declared.read_declared(settings.config_file)
    return declared.applied(settings, Running.declared)


def _join(settings: Settings) -> tuple[Identity, Service] | None:
    """Find this process's service and its identity in it; None for a helper of multiprocessing."""
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
    """Log once why there are no metrics; the application runs without them."""
    Running.is_refused = True
    _logger.error("%s; this process runs without metrics", error)


def is_under_way() -> bool:
    """Whether a thread is setting up, or importing what it needs for that."""
    return Running.builder is not None or bool(Running.loaders)


def shutdown() -> None:
    """Flush, stop, and restore the process to its state before the set-up; `configure` may follow.

    Instruments stay valid: after the next `configure` they record again.
    """
    with Running.lock:
        # First: a meter that is requested during the undoing must not set up again.
        Running.is_over = True
        undoing = Running.undoing
        try:
            undoing.unwind()
        finally:
            Running.is_refused = False
            Running.declared = None
            if undoing.is_through:
                Running.undoing = Undoing()


def leave_service(settings: Settings) -> None:
    """Find this process's service, and leave it: as its root that has recorded nothing, but has forks."""
    if _join(settings) is not None:
        _leave()


def _leave() -> None:
    """Leave the service."""
    if Running.service is not None:
        Running.service[1].close()
        Running.service = None
