"""Families that prometheus_client collects, made ready to be written beside ours in every format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

from otel_obs.cells.snapshot import Exemplar
from otel_obs.exposition.lexical import Escaping, escape_name
from otel_obs.exposition.names import TOTAL, Labels, Spelling, join_labels
from otel_obs.exposition.plan import STEM_SUFFIXES, FamilyType, stem, warn_once

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


_SUFFIXES: dict[FamilyType, tuple[str, ...]] = {
    "counter": (TOTAL, "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}


def load(metrics: Iterable[ClientMetric], escaping: Escaping) -> list[OtherFamily]:
    """Read what collectors of prometheus_client yield; one that raises ends the list, with a warning.

    Families of one name and type are joined. A metric that cannot be read is left out, with a warning.
    """
    families: dict[str, OtherFamily] = {}
    have: dict[str, set[tuple[str, Labels]]] = {}
    naming = Spelling("NoTranslation", escaping)
    try:
        for metric in metrics:
            if getattr(metric, OURS, False):
                continue
            for family in _read(metric, naming):
                known = families.setdefault(family.name, family)
                if known is not family:
                    _join(known, family, have)
    except Exception as error:
        warn_once(
            f"a collector of prometheus_client raised {error!r}; "
            "the metrics that come after it are not exposed",
            ("collector", type(error)),
        )
    return list(families.values())


def _read(metric: ClientMetric, naming: Spelling) -> list[OtherFamily]:
    try:
        return list(_families(metric, naming))
    except (ValueError, TypeError, AttributeError) as error:
        warn_once(f"{metric.name!r} of prometheus_client is not exposed: {error}", ("metric", metric.name))
        return []


def _families(metric: ClientMetric, naming: Spelling) -> Iterator[OtherFamily]:
    """*metric*, then one family of unknown type for each sample name that its type does not allow."""
    family_type = cast(FamilyType, metric.type)
    help_text = metric.documentation or ""
    samples: list[OtherSample] = []
    strays: dict[str, list[OtherSample]] = {}
    for sample in metric.samples:
        if getattr(sample, "native_histogram", None):
            continue
        suffix = sample.name[len(metric.name) :] if sample.name.startswith(metric.name) else None
        if suffix is not None and suffix in _SUFFIXES.get(family_type, ("",)):
            samples.append(_sample(sample, suffix, naming))
        else:
            strays.setdefault(sample.name, []).append(_sample(sample, "", naming))
    if samples or not strays:
        name = escape_name(metric.name + STEM_SUFFIXES.get(family_type, ""), naming.escaping)
        yield OtherFamily(name, family_type, metric.unit or "", help_text, samples)
    for name, some in strays.items():
        yield OtherFamily(escape_name(name, naming.escaping), "unknown", "", help_text, some)


def _sample(sample: ClientSample, suffix: str, naming: Spelling) -> OtherSample:
    exemplar = getattr(sample, "exemplar", None)
    return OtherSample(
        suffix,
        join_labels([(key, str(value)) for key, value in sample.labels.items()], naming),
        float(sample.value),
        None if sample.timestamp is None else float(sample.timestamp),
        _exemplar(exemplar) if exemplar else None,
    )


def _exemplar(exemplar: Any) -> Exemplar:
    unix_s = float("nan") if exemplar.timestamp is None else float(exemplar.timestamp)
    labels = tuple((key, str(value)) for key, value in exemplar.labels.items())
    return Exemplar(0, float(exemplar.value), unix_s, "", "", labels)


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
