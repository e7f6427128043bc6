"""`Meter` of the OpenTelemetry Metrics API: it makes instruments, each only once."""

from __future__ import annotations

from _thread import RLock
from collections.abc import Sequence
from typing import Any, TypeVar

from opentelemetry import metrics
from opentelemetry.metrics import CallbackT

from otel_obs.cells.gauge_rules import GAUGE_RULES
from otel_obs.cells.layout import Scope
from otel_obs.errors import DeclarationError
from otel_obs.host.forgiving import is_forgiving
from otel_obs.host.once import LogOnce
from otel_obs.sdk.instrument import Instrument
from otel_obs.sdk.instruments import Counter, Gauge, Histogram, UpDownCounter
from otel_obs.sdk.observables import Observable, ObservableCounter, ObservableGauge, ObservableUpDownCounter
from otel_obs.sdk.owner import Owner

_once = LogOnce()

AnyInstrument = Instrument[Any] | Observable
InstrumentT = TypeVar("InstrumentT", bound=AnyInstrument)
BoundarySequence = Sequence[float] | None


class Meter(metrics.Meter):
    """See `opentelemetry.metrics.Meter`. Each `create_…` takes, beside the API's arguments, the following.

    - `merge`: a gauge's rule over workers: `latest`, `sum`, `max`, `min`, `mean`, `per_worker`,
      `worst:<state>,…` (the worst first) or `share:<counter>,…` (the first one's part of their sum);
    - `translate`: turns the attributes that are given into those of the exported series;
    - `limit`: the most series, where the provider's limit does not fit;
    - `label_names`: the labels that `labels` takes, in order.
    """

    def __init__(self, owner: Owner, scope: Scope) -> None:
        super().__init__(scope.name, version=scope.version, schema_url=scope.schema_url)
        self._owner = owner
        self._scope = scope
        self._making = RLock()
        self.made: dict[str, AnyInstrument] = {}

    def after_fork_in_child(self) -> None:
        """Make a new lock: the thread that held the parent's does not exist here."""
        self._making = RLock()

    def move_to(self, owner: Owner) -> None:
        """Make every present and future instrument of this meter belong to another provider."""
        with self._making:
            self._owner = owner
            for instrument in list(self.made.values()):
                instrument.move_to(owner)

    def create_counter(self, name: str, unit: str = "", description: str = "", **options: Any) -> Counter:
        """A sum that only grows."""
        return self._make(Counter, name, unit, description, options)

    def create_up_down_counter(
        self, name: str, unit: str = "", description: str = "", **options: Any
    ) -> UpDownCounter:
        """A sum that grows and shrinks."""
        return self._make(UpDownCounter, name, unit, description, options)

    def create_gauge(self, name: str, unit: str = "", description: str = "", **options: Any) -> Gauge:
        """A value that is set."""
        return self._make(Gauge, name, unit, description, options)

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: BoundarySequence = None,
        **options: Any,
    ) -> Histogram:
        """A distribution; the boundaries are upper bounds, inclusive and ascending, in *unit*."""
        boundaries = _advised(explicit_bucket_boundaries_advisory)
        return self._make(Histogram, name, unit, description, {"boundaries": boundaries, **options})

    def create_observable_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
        **options: Any,
    ) -> ObservableCounter:
        """A total that callbacks report."""
        return self._make(ObservableCounter, name, unit, description, {"callbacks": callbacks, **options})

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
        **options: Any,
    ) -> ObservableUpDownCounter:
        """A sum that callbacks report."""
        return self._make(
            ObservableUpDownCounter, name, unit, description, {"callbacks": callbacks, **options}
        )

    def create_observable_gauge(
        self,
        name: str,
        callbacks: Sequence[CallbackT] | None = None,
        unit: str = "",
        description: str = "",
        **options: Any,
    ) -> ObservableGauge:
        """A value that callbacks report."""
        return self._make(ObservableGauge, name, unit, description, {"callbacks": callbacks, **options})

    def _make(
        self, kind: type[InstrumentT], name: str, unit: str, description: str, options: dict[str, Any]
    ) -> InstrumentT:
        try:
            return self._made(kind, name, unit, description, options)
        except (DeclarationError, TypeError, ValueError) as error:
            if not is_forgiving.get():
                raise
            _once.warning((str(name), str(error)), "%s; what is recorded to it is dropped", error)
            from opentelemetry.metrics._internal import instrument

            does_nothing: InstrumentT = getattr(instrument, f"NoOp{kind.__name__}")(str(name))
            return does_nothing

    def _made(
        self, kind: type[InstrumentT], name: str, unit: str, description: str, options: dict[str, Any]
    ) -> InstrumentT:
        unit, description = unit or "", description or ""
        checked = metrics.Instrument._check_name_unit_description(name, unit, description)
        if checked["name"] is None:
            raise DeclarationError(name, "is not a valid instrument name", _NAME_RULE)
        if checked["unit"] is None:
            raise DeclarationError(name, f"has unit {unit!r}", "a unit is at most 63 ASCII characters")
        if options.get("merge", "latest").partition(":")[0] not in GAUGE_RULES:
            raise DeclarationError(
                name, f"has merge rule {options['merge']!r}", f"known are {sorted(GAUGE_RULES)}"
            )
        identity = ",".join((name.lower(), kind.__name__, unit, description))
        with self._making:
            made = self.made.get(identity)
            if made is None:
                new = kind(
                    owner=self._owner,
                    name=name.lower(),
                    unit=unit,
                    description=description,
                    scope=self._scope,
                    **options,
                )
                made = self.made.setdefault(identity, new)  # a signal handler may have made one meanwhile
        if made.boundaries != options.get("boundaries"):
            _once.warning(
                ("boundaries", self._scope, name),
                "instrument %r was created before with bucket boundaries %s, which stay",
                name,
                made.boundaries,
            )
        return made  # type: ignore[return-value]


_NAME_RULE = "a name is a letter and then at most 254 letters, digits, '_', '.', '-' or '/'"


def _advised(boundaries: Any) -> tuple[float, ...] | None:
    """The advised boundaries, or None where they are no sequence of numbers."""
    if boundaries is None:
        return None
    if isinstance(boundaries, Sequence) and all(isinstance(bound, (int, float)) for bound in boundaries):
        return tuple(boundaries)
    _once.warning(
        ("advisory", repr(boundaries)),
        "explicit_bucket_boundaries_advisory=%r is not a sequence of numbers; not used",
        boundaries,
    )
    return None
