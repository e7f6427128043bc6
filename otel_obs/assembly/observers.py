"""What records the requests of this process: one observer for all that ask for nothing of their own."""

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


class _Measuring:
    """What measures the applications of this process."""

    observer: Observer | None = None
    """Of those that ask for nothing of their own."""
    observers: WeakObjects[Observer] = WeakObjects()
    is_listening = False
    """Whether the names that the application defines are told here."""
    has_wsgi = False
    """Whether a WSGI framework is here, whose applications may be behind a bridge."""
    metrics: ClassVar[dict[str, Metric[Any]]] = {}
    """Those of the catalog that requests are recorded with."""
    taken: ClassVar[set[str]] = set()
    """The families that the application has defined by `otel_obs.prometheus`."""


class _Own(NamedTuple):
    """A metric of the catalog as the request middleware records to it; that does not count as use by hand."""

    metric: Any

    def bind(self, attributes: Any) -> Any:
        return self.metric.bind_for_service(attributes)


def shared_observer() -> Observer:
    """What requests are recorded with; made when it is first needed."""
    if _Measuring.observer is None:
        _Measuring.observer = make_observer(None, None)
    return _Measuring.observer


def make_observer(exclude: Exclude | None, extra: ExtraLabels | None) -> Observer:
    """An observer of requests, with labels of the application's own where it gives some."""
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
    _Measuring.metrics.update(recorded)
    for field, metric in recorded.items():
        if field != "errors":  # of these, only HTTP's are ours alone
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
    observer.has_wsgi = _Measuring.has_wsgi
    _give_way(observer)
    return observer


def note_wsgi() -> None:
    """A WSGI framework is here: its applications look for an ASGI layer around them."""
    _Measuring.has_wsgi = True
    for observer in _Measuring.observers.living():
        observer.has_wsgi = True


def _watch_loop() -> None:
    from otel_obs.catalog import runtime

    runtime.watch_running_loop()


def _watch_none() -> None:
    """Where no runtime metrics are wanted."""


def _give_way(observer: Observer) -> None:
    """Record no family that the application defines by `otel_obs.prometheus`: both would be pushed."""
    _Measuring.observers.add(observer)
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


def _note_hand(family: str) -> None:
    """The application counts a family of ours by hand: one request is counted once, and by whom it chose."""
    _Measuring.taken.add(family)
    if [observer for observer in _Measuring.observers.living() if observer.disown(family)]:
        from otel_obs.exposition.plan import once

        once.warning_of_service(
            f"hand of {family}",
            f"{family!r} is counted by the application itself, with the metric of otel_obs.catalog, over all "
            "workers; otel_obs does not count it any more. To have otel_obs count it, take that out; to have "
            "both, count with a metric of your own under another name. OTEL_OBS_HTTP=off says so at once",
        )


def _end() -> None:
    """Stop measuring: no application has an observer any more."""
    _Measuring.observer = None
    _Measuring.is_listening = _Measuring.has_wsgi = False
    _Measuring.observers.clear()
    for metric in _Measuring.metrics.values():
        metric.by_hand = None
        metric.give_up_extensions()
    _Measuring.metrics.clear()
    _Measuring.taken.clear()


def exclusion_for(framework: str, matches: Exclude | None = None) -> Exclusion:
    """What leaves a request of *framework* out: its variables' patterns, and *matches*."""
    from otel_obs.http.exclusion import Exclusion

    return Exclusion(_pipeline().settings.excluded_urls_for(framework), matches)


def _pipeline() -> Pipeline:
    if Running.pipeline is None:
        raise RuntimeError("otel_obs is not configured")
    return Running.pipeline
