"""Families that prometheus_client collects, made ready to be written beside ours in every format."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, NamedTuple, Protocol, cast, get_args

from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.lexical import Escaping, escape_name, number
from otel_obs.exposition.names import TOTAL, Labels, Spelling, join_labels
from otel_obs.exposition.plan import STEM_SUFFIXES, FamilyType, stem, warn_once
from otel_obs.host.signals import raise_interruption

OURS = "is_from_otel_obs"
"""The attribute that marks families of otel_obs' own collector, which must not be written a second time."""


IS_OURS = OURS
"""The same attribute on a collector: it yields only what a snapshot holds."""


class ClientSample(Protocol):
    """A `prometheus_client.samples.Sample`, of any version."""

    @property
    def name(self) -> str:
        """The family's name, with or without a suffix."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels, `le` and `quantile` among them."""

    @property
    def value(self) -> float:
        """The value; None or 0 where the sample is a native histogram."""

    @property
    def timestamp(self) -> Any:
        """Unix seconds, a `Timestamp`, or None."""

    @property
    def exemplar(self) -> Any:
        """A `prometheus_client.samples.Exemplar`, or None."""


class ClientMetric(Protocol):
    """A `prometheus_client.Metric`, of any version."""

    name: str
    documentation: str
    unit: str
    type: str

    @property
    def samples(self) -> Sequence[ClientSample]:
        """All samples of all series."""


class OtherSample(NamedTuple):
    """One sample; `suffix` is the part of its name that follows the stem of the family."""

    suffix: str
    labels: Labels
    value: float
    unix_s: float | None
    exemplar: Exemplar | None


class OtherFamily(NamedTuple):
    """A family of prometheus_client; `name` has the suffix of its type, as ours do."""

    name: str
    type: FamilyType
    unit: str
    help: str
    samples: list[OtherSample]

    @property
    def stem(self) -> str:
        """The name without the suffix of its type."""
        return stem(self.name, self.type)

    def as_unknown(self) -> list[OtherFamily]:
        """Split the family by sample names, into families of unknown type, which reserve no other names."""
        found: dict[str, list[OtherSample]] = {}
        for sample in self.samples:
            if sample.suffix != "_created":
                found.setdefault(self.stem + sample.suffix, []).append(
                    sample._replace(suffix="", exemplar=None)
                )
        return [
            self._replace(name=name, type="unknown", unit="", samples=some) for name, some in found.items()
        ]


_TYPES = frozenset(get_args(FamilyType))
_BOUNDS: dict[tuple[FamilyType, str], str] = {
    ("histogram", "_bucket"): "le",
    ("gaugehistogram", "_bucket"): "le",
    ("summary", ""): "quantile",
}
_NUMBER = re.compile(
    r"[+-]?(?:inf(?:inity)?|nan|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE | re.ASCII
)
_WITH_EXEMPLARS = (TOTAL, "_bucket")
_MOST_UNIX_S = 2.0**62 / 1000

_SUFFIXES: dict[FamilyType, tuple[str, ...]] = {
    "counter": (TOTAL, "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}


def yielded_by(collector: Any) -> Iterator[Any]:
    """The families that a collector of the application's yields, until it raises, which is logged once."""
    try:
        yield from collector.collect()
    except Exception as error:
        raise_interruption(error)
        warn_once(
            f"the collector {collector!r} of prometheus_client raised {error!r}; "
            "what it had not yielded is not exposed",
            ("collector", id(collector)),
        )


def load(metrics: Iterable[ClientMetric], escaping: Escaping) -> list[OtherFamily]:
    """Read what collectors of prometheus_client yield; one that raises ends the list, with a warning.

    Families of one name and type are joined. A metric that cannot be read is left out, with a warning.
    """
    families: dict[str, OtherFamily] = {}
    have: dict[str, set[tuple[str, Labels]]] = {}
    naming = Spelling("NoTranslation", escaping)
    try:
        for metric in metrics:
            for family in _read(metric, naming):
                known = families.setdefault(family.name, family)
                if known is not family:
                    _join(known, family, have)
    except Exception as error:
        raise_interruption(error)
        warn_once(
            f"a collector of prometheus_client raised {error!r}; "
            "the metrics that come after it are not exposed",
            ("collector", type(error)),
        )
    return list(families.values())


def _read(metric: ClientMetric, naming: Spelling) -> list[OtherFamily]:
    # Whatever is wrong with one metric costs no other: it may be of any class, with anything in it.
    try:
        return [] if getattr(metric, OURS, False) else list(_families(metric, naming))
    except Exception as error:
        raise_interruption(error)
        name = getattr(metric, "name", None)
        shown = repr(name) if type(name) is str else f"a metric of type {type(metric).__name__}"
        warn_once(f"{shown} of prometheus_client is not exposed: {error}", ("metric", shown))
        return []


def _families(metric: ClientMetric, naming: Spelling) -> Iterator[OtherFamily]:
    """*metric*, then one family of unknown type for each sample name that its type does not allow."""
    family_type = cast(FamilyType, metric.type if metric.type in _TYPES else "unknown")
    base, help_text, unit = _name(metric.name), _text(metric.documentation or ""), _text(metric.unit or "")
    samples: list[OtherSample] = []
    strays: dict[str, list[OtherSample]] = {}
    is_whole = True
    for sample in metric.samples:
        try:
            if getattr(sample, "native_histogram", None):
                continue
            name = _name(sample.name)
            suffix = name[len(base) :] if name.startswith(base) else None
            if suffix is not None and suffix in _SUFFIXES.get(family_type, ("",)):
                samples.append(_with_bound(_sample(sample, suffix, naming), family_type))
            else:
                strays.setdefault(name, []).append(_sample(sample, "", naming))
        except Exception as error:
            raise_interruption(error)
            is_whole = False
            warn_once(f"a sample of {base!r} of prometheus_client is not exposed: {error}", ("sample", base))
    if samples or (is_whole and not strays):
        name = escape_name(base + STEM_SUFFIXES.get(family_type, ""), naming.escaping)
        yield OtherFamily(name, family_type, unit, help_text, _distinct(samples))
    for name, some in strays.items():
        yield OtherFamily(escape_name(name, naming.escaping), "unknown", "", help_text, _distinct(some))


def _distinct(samples: list[OtherSample]) -> list[OtherSample]:
    """The first of each series at each time: Prometheus would take one of them, and warn."""
    found: dict[tuple[str, Labels, int | None], OtherSample] = {}
    for sample in samples:
        unix_ms = None if sample.unix_s is None else int(sample.unix_s * 1000)
        found.setdefault((sample.suffix, sample.labels, unix_ms), sample)
    return list(found.values())


def _sample(sample: ClientSample, suffix: str, naming: Spelling) -> OtherSample:
    exemplar = getattr(sample, "exemplar", None) if suffix in _WITH_EXEMPLARS else None
    return OtherSample(
        suffix,
        join_labels([(_text(key), _text(value)) for key, value in sample.labels.items()], naming),
        float(sample.value),
        None if sample.timestamp is None else _time(sample.timestamp),
        _exemplar(exemplar) if exemplar else None,
    )


def _with_bound(sample: OtherSample, family_type: FamilyType) -> OtherSample:
    """*sample*, its bucket's bound or its quantile spelt as readers written in Go take a number.

    Raises:
        ValueError: It is no number: for one, many refuse the whole page.
    """
    label = _BOUNDS.get((family_type, sample.suffix))
    if label is None or all(_is_spelt(value) for name, value in sample.labels if name == label):
        return sample
    labels = [(name, number(float(value)) if name == label else value) for name, value in sample.labels]
    return sample._replace(labels=tuple(labels))


def _is_spelt(value: str) -> bool:
    # Beyond the range of floats, Go has an error where Python has infinity.
    return _NUMBER.fullmatch(value) is not None and (isfinite(float(value)) or "n" in value.lower())


def _text(value: object) -> str:
    """*value* as an exact string: a subclass, as an enum's, may say something else of itself."""
    if type(value) is str:
        return value
    return str.__str__(value) if isinstance(value, str) else str(value)


def _name(value: object) -> str:
    if not (isinstance(value, str) and value):
        raise ValueError(f"its name {value!r} is none")
    return _text(value)


def _time(timestamp: Any) -> float:
    """Unix seconds, within what readers can hold: milliseconds in 64 bits."""
    unix_s = float(timestamp)
    if not -_MOST_UNIX_S < unix_s < _MOST_UNIX_S:
        raise ValueError(f"its time {timestamp!r} is none")
    return unix_s


def _exemplar(exemplar: Any) -> Exemplar | None:
    """The exemplar; None where it cannot be read: the sample goes without."""
    try:
        unix_s = float("nan") if exemplar.timestamp is None else _time(exemplar.timestamp)
        labels = tuple((_text(key), _text(value)) for key, value in exemplar.labels.items())
        return Exemplar(0, float(exemplar.value), unix_s, "", "", labels)
    except Exception as error:
        raise_interruption(error)
        return None


def _join(known: OtherFamily, family: OtherFamily, have: dict[str, set[tuple[str, Labels]]]) -> None:
    if known.type != family.type:
        warn_once(
            f"the {family.type} {family.name!r} of prometheus_client is not exposed: "
            f"{family.name!r} is a {known.type} already; rename one"
        )
        return
    own = have.get(known.name)
    if own is None:
        own = have[known.name] = {(sample.suffix, sample.labels) for sample in known.samples}
    known.samples.extend(sample for sample in family.samples if (sample.suffix, sample.labels) not in own)
    own.update((sample.suffix, sample.labels) for sample in family.samples)
