"""The observers that record requests: one shared by all applications without options of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from otel_obs.assembly.setup import Running
from otel_obs.host.imports import when_imported
from otel_obs.host.weak import WeakObjects

if TYPE_CHECKING:
    from otel_obs.assembly.pipeline import Pipeline
    from otel_obs.catalog.kit.metric import Metric
    from otel_obs.http.exclusion import Carrier, Exclusion
    from otel_obs.http.observe import ExtraLabels, Observer

    Exclude = Callable[[Carrier], bool]


class _ProcessObservers:
    """The observers of this process, and which families they leave to the application."""

    observer: Observer | None = None
    """Shared by the applications that give neither `exclude` nor `extra_labels`."""
    observers: WeakObjects[Observer] = WeakObjects()
    is_listening = False
    """Whether `otel_obs.prometheus` reports the names that the application defines to `_note_owner`."""
    has_wsgi = False
    """Whether a WSGI framework is imported; its applications may run behind an ASGI bridge."""
    metrics: ClassVar[dict[str, Metric[Any]]] = {}
    """The metrics of the catalog that requests are recorded to, by field of `HttpInstruments`."""
    taken: ClassVar[set[str]] = set()
    """The families that the application defines with `otel_obs.prometheus`, or counts by hand."""


class _Own(NamedTuple):
    """A metric of the catalog for the middleware, whose recording does not count as use by hand."""

    metric: Any

    def bind(self, attributes: Any) -> Any:
        return self.metric.bind_for_service(attributes)


def shared_observer() -> Observer:
    """Return the observer of all applications without options, made at its first use."""
    if _ProcessObservers.observer is None:
        _ProcessObservers.observer = make_observer(None, None)
    return _ProcessObservers.observer


def make_observer(exclude: Exclude | None, extra: ExtraLabels | None) -> Observer:
    """Make an observer of requests, with the application's `exclude` and extra labels."""
    from otel_obs.catalog import http
    from otel_obs.catalog.kit.naming import Naming
    from otel_obs.http.observe import HttpInstruments, Observer
    from otel_obs.http.profiles import ClassicProfile, SemconvProfile

    settings = _pipeline().settings
    Running.undoing.once(_end)
    naming = Naming.from_settings(settings)
    recorded = http.instruments(naming, settings.http_sizes) if settings.http == "on" else {}
    if extra is not None:
        for metric in recorded.values():
            metric.extend(*extra.names)
    _ProcessObservers.metrics.update(recorded)
    for field, metric in recorded.items():
        if field != "errors":  # an application counts its own errors with that one, beside ours
            metric.by_hand = _note_hand
    own = {field: _Own(metric) for field, metric in recorded.items()}
    families = http.families(naming)
    profile = SemconvProfile(families) if settings.profile == "semconv" else ClassicProfile(families)
    observer = Observer(
        HttpInstruments(**own),
        profile,
        exclude=exclusion_for("", exclude),
        extra=extra,
        meets_loop=_watch_loop if settings.runtime_metrics else _watch_none,
    )
    observer.has_wsgi = _ProcessObservers.has_wsgi
    _give_way(observer)
    return observer


def note_wsgi() -> None:
    """Note a WSGI framework: its applications have to look for an ASGI middleware around a bridge."""
    _ProcessObservers.has_wsgi = True
    for observer in _ProcessObservers.observers.living():
        observer.has_wsgi = True


def _watch_loop() -> None:
    from otel_obs.catalog import runtime

    runtime.watch_running_loop()


def _watch_none() -> None:
    """Do nothing: no runtime metrics are wanted."""


def _give_way(observer: Observer) -> None:
    """Stop recording families that the application defines with `otel_obs.prometheus`.

    A scrape could leave ours out; a push would send both.
    """
    # Added before `taken` is read: a family that is defined in between is disowned at least once.
    _ProcessObservers.observers.add(observer)
    if not _ProcessObservers.is_listening:
        _ProcessObservers.is_listening = True
        Running.undoing.later(when_imported("otel_obs.prometheus", _listen))
    for family in list(_ProcessObservers.taken):
        observer.disown(family)


def _listen(module: Any) -> None:
    Running.undoing.later(module.tell_names(_note_owner))


def _note_owner(family: str) -> None:
    _ProcessObservers.taken.add(family)
    if [observer for observer in _ProcessObservers.observers.living() if observer.disown(family)]:
        from otel_obs.exposition.plan import warn_of_owner

        warn_of_owner(family)


def _note_hand(family: str) -> None:
    """Leave a family to the application, which counts it by hand: no request is to count twice."""
    _ProcessObservers.taken.add(family)
    if [observer for observer in _ProcessObservers.observers.living() if observer.disown(family)]:
        from otel_obs.exposition.plan import once

        once.warning_of_service(
            f"hand of {family}",
            f"{family!r} is counted by the application itself, with the metric of otel_obs.catalog, over all "
            "workers; otel_obs does not count it any more. To have otel_obs count it, take that out; to have "
            "both, count with a metric of your own under another name. OTEL_OBS_HTTP=off says so at once",
        )


def _end() -> None:
    """Forget all observers at `shutdown`, and reset the metrics of the catalog that they changed."""
    _ProcessObservers.observer = None
    _ProcessObservers.is_listening = _ProcessObservers.has_wsgi = False
    _ProcessObservers.observers.clear()
    for metric in _ProcessObservers.metrics.values():
        metric.by_hand = None
        metric.give_up_extensions()
    _ProcessObservers.metrics.clear()
    _ProcessObservers.taken.clear()


def exclusion_for(framework: str, matches: Exclude | None = None) -> Exclusion:
    """Make the test that leaves requests out: the URL patterns set for *framework*, and *matches*."""
    from otel_obs.http.exclusion import Exclusion

    return Exclusion(_pipeline().settings.excluded_urls_for(framework), matches)


def _pipeline() -> Pipeline:
    if Running.pipeline is None:
        raise RuntimeError("otel_obs is not configured")
    return Running.pipeline
