"""A row of the catalog as the object that records it.

A metric is declared when its module is imported and gets its instrument when it is first used after
`install`. Measurements before that are held until then. Its recording methods are attributes of the object:
the first call replaces them by the instrument's own methods, so that later calls have no extra step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

from otel_obs.catalog import metrics
from otel_obs.catalog.kit.early import give_up, hold_early, pass_on
from otel_obs.catalog.kit.functions import refresh_with
from otel_obs.catalog.kit.keeping import HandleKeeper, HandleT
from otel_obs.catalog.kit.naming import ANY, Declaration, Named, Naming, Semconv
from otel_obs.cells.attributes import AttributeMapping
from otel_obs.cells.layout import Kind
from otel_obs.errors import DeclarationError, SettingError
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption
from otel_obs.settings import Settings

_once = LogOnce()

VERBS = {Kind.COUNTER: "add", Kind.UPDOWN: "add", Kind.GAUGE: "set", Kind.HISTOGRAM: "record"}

SCOPE = "otel_obs"
"""The scope of metrics that an application may define itself; its own definition wins."""

STANDARD_SCOPE = "otel_obs.runtime"
"""The scope of metrics that every Python service has, here merged over workers."""


class _Installation(NamedTuple):
    """The meters that make the instruments, and the naming of these."""

    meter: Any
    standard_meter: Any
    naming: Naming


_installation: _Installation | None = None
declared: list[Metric[Any]] = []
"""Every metric that this process has declared so far, by otel_obs and by the application."""


def install(provider: Any, naming: Naming) -> None:
    """Let every metric record to instruments of *provider*, which replaces an earlier one.

    Args:
        provider: A `MeterProvider` of `otel_obs.sdk`.
        naming: The names of the instruments and their labels.

    Raises:
        SettingError: *naming* gives a metric one label twice.
    """
    global _installation
    check_naming(naming)
    _installation = _Installation(provider.get_meter(SCOPE), provider.get_meter(STANDARD_SCOPE), naming)
    refresh_with(provider)
    # In this order: the held measurements have to find metrics that resolve to the new provider.
    _reset()
    pass_on()


def check_naming(naming: Naming) -> None:
    """Check that *naming* gives every metric distinct labels.

    Raises:
        SettingError: *naming* gives a metric one label twice.
    """
    if naming.labels:
        list(metrics())  # imports every group, so that a collision shows now and not at a group's first use
    for metric in declared:
        naming.apply(metric.declaration)


def uninstall() -> None:
    """Let every metric record nothing again."""
    global _installation
    _installation = None
    give_up()
    _reset()


def is_installed() -> bool:
    """Whether there is a provider to record to."""
    return _installation is not None


def current_naming() -> Naming:
    """The installed naming, or the one that the environment's settings give."""
    if _installation is not None:
        return _installation.naming
    try:
        return Naming.from_settings(Settings.from_env())
    except SettingError:
        return Naming()


def _reset() -> None:
    for metric in declared:
        metric._reset()


def hold(action: Callable[[], object]) -> None:
    """Run *action* once there are instruments."""
    hold_early(action)
    if _installation is not None:  # installed by another thread meanwhile
        pass_on()


def _nothing(*_: Any, **__: Any) -> None:
    """Record nothing."""


class _NoInstrument:
    """Stands in for an instrument where metrics are switched off."""

    add = record = set = remove = drop = refresh = ask = ask_no_longer = staticmethod(_nothing)

    def bind(self, attributes: AttributeMapping) -> _NoInstrument:
        return self


_NO_INSTRUMENT = _NoInstrument()


class Metric(HandleKeeper[HandleT]):
    """The base of all kinds of metrics.

    Args:
        family: The Prometheus family of the classic profile; counters end in `_total`.
        help: One line, without a full stop.
        unit: UCUM; `{…}` is an annotation that Prometheus does not see.
        attributes: Allowed values by attribute, in the order of the labels; `ANY` takes every value.
        bounds: A histogram's upper bounds, inclusive, ascending, in `unit`.
        merge: A gauge's rule over workers.
        share: Counters, for a gauge that is the first one's share of their sum, over all workers.
        semconv: The counterpart in the semantic conventions; None where they have none.
        is_standard: Whether every Python service has this name, so that it gets no namespace prefix.
        ids: Attributes that hold the id of a secret; a value that looks like the secret itself is refused.

    Raises:
        DeclarationError: The name lacks a suffix, or the buckets do not ascend.
    """

    declaration: Declaration
    _kind: ClassVar[Kind]

    def __init__(
        self,
        family: str,
        help: str,
        *,
        unit: str = "",
        attributes: Mapping[str, tuple[str, ...]] | None = None,
        bounds: tuple[float, ...] = (),
        merge: str = "latest",
        share: tuple[Metric[Any], ...] = (),
        semconv: Semconv | None = None,
        is_standard: bool = False,
        ids: tuple[str, ...] = (),
    ) -> None:
        self.declaration = Declaration(
            self._kind,
            family,
            help,
            unit,
            attributes or {},
            bounds,
            merge,
            tuple(counter.declaration for counter in share),
            semconv,
            is_standard,
            ids,
        )
        self._named: Named | None = None
        self._made: Any = None
        self._init_handles(attributes or ())
        self._reset()
        declared.append(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.declaration.family}>"

    @property
    def name(self) -> str:
        """The family, as it is declared."""
        return self.declaration.family

    @property
    def named(self) -> Named:
        """The metric under the naming in force."""
        if self._named is None:
            named = current_naming().apply(self.declaration)
            if _installation is None:
                return named
            self._named = named
        return self._named

    def extend(self, *attributes: str) -> None:
        """Declare further attributes of the application; keep the number of their values small."""
        own = self.declaration.attributes
        self._declare({**own, **{key: ANY for key in attributes if key not in own}})

    def give_up_extensions(self) -> None:
        """Undo `extend`: declare the catalog's attributes only."""
        self._declare(
            {key: values for key, values in self.declaration.attributes.items() if key in self._own}
        )

    def _declare(self, attributes: Mapping[str, tuple[str, ...]]) -> None:
        self.declaration = replace(self.declaration, attributes=attributes)
        self._named = None

    def translate(self, attributes: AttributeMapping) -> dict[str, Any]:
        """Turn the attributes that a caller gives into those of the series.

        Raises:
            DeclarationError: An attribute is not declared, or has a value outside its closed set.
        """
        return self.named.translate(attributes)

    def _remove(self, attributes: AttributeMapping, remove: Callable[[Any], None]) -> None:
        instrument = self._instrument()
        if _installation is None:
            hold(partial(self._remove, dict(attributes), remove))
        elif instrument is not None:
            try:
                self.translate(attributes)
                remove(instrument)
            except DeclarationError as error:
                self.drop("attributes", str(error))

    def drop(self, reason: str, detail: str) -> None:
        """Count a refused measurement, and log the first of its kind."""
        instrument = self._instrument()
        if instrument is not None:
            instrument.drop(reason, detail)
        elif _installation is None:
            hold(partial(self.drop, reason, detail))

    def _bound(self, attributes: dict[str, Any], verb: str = "") -> Callable[..., None] | None:
        """The function that records to *attributes*, or the method *verb* of it; None before `install`."""
        instrument = self._instrument()
        if instrument is None:
            return _nothing if _installation is not None else None
        try:
            self.translate(attributes)
        except DeclarationError as error:
            detail = str(error)
            return lambda amount=1: self.drop("attributes", detail)
        record: Callable[..., None] = getattr(
            instrument.bind(attributes), verb or VERBS[self.named.kind], _nothing
        )
        if self.named.kind is self.declaration.kind:
            return record
        # A counter that the profile makes a histogram: `record` has no default, `inc()` has.
        return lambda amount=1: record(amount)

    def _instrument(self) -> Any:
        """The instrument, made at first use; None before `install`, or if another family has its value."""
        installation = _installation
        if installation is None or not self.named.is_recorded:
            return None
        if self._made is None:
            is_standard = self.declaration.is_standard
            meter = installation.standard_meter if is_standard else installation.meter
            self._made = self._create(meter) if hasattr(meter, "made") else _NO_INSTRUMENT
        return self._made

    def _create(self, meter: Any) -> Any:
        named = self.named
        options: dict[str, Any] = {
            "unit": named.unit,
            "description": self.declaration.help,
            "translate": self.translate,
        }
        if named.kind is Kind.COUNTER:
            return meter.create_counter(named.name, **options)
        if named.kind is Kind.UPDOWN:
            return meter.create_up_down_counter(named.name, **options)
        if named.kind is Kind.GAUGE:
            return meter.create_gauge(named.name, merge=named.merge, **options)
        bounds = list(named.bounds) or None
        return meter.create_histogram(named.name, explicit_bucket_boundaries_advisory=bounds, **options)

    def _reset(self) -> None:
        self._named = None
        self._made = None
        self._delegate(self._first)
        self._reset_handles()

    def _first(
        self, amount: float = 1, attributes: AttributeMapping | None = None, context: Any = None
    ) -> None:
        """Record for the first time, and replace this method by the instrument's own."""
        if self.by_hand is not None:
            self._note_hand()
        try:
            instrument = self._instrument()
        except Exception as error:
            raise_interruption(error)
            _once.error(self.name, "nothing is recorded to %r", self.name, error=error)
            return
        if instrument is not None:
            record = getattr(instrument, VERBS[self.named.kind])
            self._delegate(record)
            record(amount, attributes, context)
        elif _installation is None:
            given = dict(attributes) if isinstance(attributes, Mapping) else attributes
            hold(partial(self._first, amount, given, context))

    @abstractmethod
    def _delegate(self, record: Callable[..., None]) -> None:
        """Set the recording method of this kind to *record*."""
