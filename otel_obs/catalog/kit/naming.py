"""The declaration of a metric, and its names and labels under a service's settings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otel_obs.catalog.kit.redaction import looks_secret
from otel_obs.cells.layout import Kind, Stream
from otel_obs.errors import (
    DeclarationError,
    SettingError,
    forbidden_value,
    secret_value,
    undeclared_attributes,
)
from otel_obs.exposition.names import TOTAL, family_name, sanitize_label, unit_word
from otel_obs.settings import Settings

ANY: tuple[str, ...] = ()
"""The allowed values of an attribute that takes every value."""


class Semconv(NamedTuple):
    """The counterpart of a metric in OpenTelemetry's semantic conventions.

    Attributes:
        name: The convention's instrument.
        attributes: The convention's name of each attribute that a caller passes, "" for one that it leaves
            out. An attribute that is missing here keeps its name; one that is here but not declared in the
            row is left out of the classic metric.
        unit: UCUM.
        kind: None where it is that of the classic metric.
        bounds: A histogram's upper bounds, inclusive, ascending, in `unit`.
        values: The convention's values, by attribute and classic value.
        count_of: The histogram whose count has the same value; this metric is then not recorded.
    """

    name: str = ""
    attributes: Mapping[str, str] = {}
    unit: str = ""
    kind: Kind | None = None
    bounds: tuple[float, ...] = ()
    values: Mapping[str, Mapping[str, str]] = {}
    count_of: Declaration | None = None


@dataclass(frozen=True)
class Declaration:
    """One row of the catalog.

    Attributes:
        kind: The kind of instrument.
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
    """

    kind: Kind
    family: str
    help: str
    unit: str = ""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    merge: str = "latest"
    share: tuple[Declaration, ...] = ()
    semconv: Semconv | None = None
    is_standard: bool = False
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a row that could not be exposed under its own name.

        Raises:
            DeclarationError: The name lacks a suffix, or the buckets do not ascend.
        """
        if self.kind is Kind.COUNTER and not self.family.endswith(TOTAL):
            raise DeclarationError(self.family, "is a counter", f"name it {self.family}{TOTAL}")
        word = unit_word(self.unit)
        if word and not self.family.removesuffix(TOTAL).endswith(f"_{word}"):
            raise DeclarationError(self.family, f"has the unit {self.unit!r}", f"end its name in _{word}")
        if list(self.bounds) != sorted(set(self.bounds)):
            raise DeclarationError(self.family, f"has buckets {list(self.bounds)}", "give them ascending")


class ExposedAttribute(NamedTuple):
    """How an attribute that a caller passes is exposed; one with an empty name is left out."""

    name: str
    allowed: tuple[str, ...]
    values: Mapping[str, str]
    is_id: bool = False


class Named(NamedTuple):
    """A metric under a service's naming.

    Attributes:
        kind: The instrument's kind.
        name: The instrument's name.
        unit: The instrument's unit.
        family: The family as a scrape shows it.
        sample: The sample with the value of the classic family: the family itself, or the count or sum of a
            histogram.
        labels: The labels as a scrape shows them, in the declared order.
        bounds: A histogram's upper bounds, inclusive, ascending, in `unit`.
        merge: A gauge's rule over workers.
        accepts: How each attribute that a caller may pass is exposed, by declared and by exposed name.
        declared: The attributes by their declared names.
        is_recorded: False where another family already has its value.
    """

    kind: Kind
    name: str
    unit: str
    family: str
    sample: str
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    merge: str
    accepts: Mapping[str, ExposedAttribute]
    declared: tuple[str, ...]
    is_recorded: bool = True

    def has_all(self, needed: Iterable[str], given: Collection[str]) -> bool:
        """Whether all *given* attributes are accepted and include all *needed* ones, under either name."""
        accepts = self.accepts
        if len(given) > len(self.declared) or any(key not in accepts for key in given):
            return False
        return {accepts[key].name for key in needed} <= {accepts[key].name for key in given}

    def translate(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Turn the attributes that a caller gives into those of the series.

        Raises:
            DeclarationError: An attribute is not declared, or its value is not in its closed set.
        """
        result = {}
        for key, value in attributes.items():
            exposed = self.accepts.get(key)
            if exposed is None:
                raise undeclared_attributes(self.family, attributes, self.declared)
            if exposed.allowed and value not in exposed.allowed:
                raise forbidden_value(self.family, key, value, exposed.allowed)
            if exposed.is_id and looks_secret(str(value)):
                raise secret_value(key)
            if exposed.name:
                result[exposed.name] = exposed.values.get(value, value) if exposed.values else value
        return result


class Naming(NamedTuple):
    """How one service names the metrics of the catalog.

    Attributes:
        namespace: Prefix of every family.
        labels: New names of labels.
        names: New names of families. A family that is given with the namespace gets exactly the new name;
            one that is given without it gets the namespace before its new name.
        buckets: Upper bounds by family, under any of its names.
        profile: `classic` or `semconv`.
    """

    namespace: str = ""
    labels: Mapping[str, str] = {}
    names: Mapping[str, str] = {}
    buckets: Mapping[str, tuple[float, ...]] = {}
    profile: str = "classic"

    @classmethod
    def from_settings(cls, settings: Settings) -> Naming:
        """The naming that *settings* ask for."""
        return cls(
            settings.namespace,
            dict(settings.labels),
            dict(settings.names),
            dict(settings.buckets),
            settings.profile,
        )

    def apply(self, row: Declaration) -> Named:
        """Name *row* by these settings.

        Raises:
            SettingError: Renamed labels collide.
        """
        semconv = row.semconv if self.profile == "semconv" else None
        accepts = self._accepts(row, semconv)
        declared = tuple(row.attributes)
        if semconv is not None and semconv.count_of is not None:
            base = self.apply(semconv.count_of)
            sample = f"{base.family}_count"
            return Named(row.kind, "", "", sample, sample, base.labels, (), "", accepts, declared, False)
        labels = tuple(sanitize_label(accepts[key].name) for key in _known(row) if accepts[key].name)
        kind = (semconv and semconv.kind) or row.kind
        name, unit, families = self._name(row, semconv)
        family = families[-1]
        bounds = next((self.buckets[known] for known in families if known in self.buckets), None)
        if bounds is None:
            bounds = (semconv and semconv.bounds) or row.bounds
        was_counted = kind is Kind.HISTOGRAM and row.kind is not Kind.HISTOGRAM
        sample = f"{family}_sum" if was_counted else family
        return Named(kind, name, unit, family, sample, labels, bounds, self._merge(row), accepts, declared)

    def names_of(self, row: Declaration) -> tuple[str, ...]:
        """Every name under which settings may refer to *row*'s family."""
        semconv = row.semconv if self.profile == "semconv" and row.semconv and row.semconv.name else None
        return self._name(row, semconv)[2]

    def _name(self, row: Declaration, semconv: Semconv | None) -> tuple[str, str, tuple[str, ...]]:
        """The instrument's name and unit, and every name of the family, the exposed one last."""
        if semconv is None:
            kind, unit, own = row.kind, row.unit, row.family
        else:
            kind, unit = semconv.kind or row.kind, semconv.unit
            own = family_name(Stream(kind, semconv.name, unit))
        prefix = f"{self.namespace}_" if self.namespace and not row.is_standard else ""
        known = (row.family, own, prefix + own)
        final = self.names.get(prefix + own) or self.names.get(prefix + row.family)
        renamed = self.names.get(own) or self.names.get(row.family)
        if final is None and renamed is None and semconv is not None:
            name = f"{self.namespace}.{semconv.name}" if self.namespace else semconv.name
            return name, unit, known
        final = final or prefix + (renamed or own)
        name, unit = _split(final, unit, kind)
        return name, unit, (*known, renamed or own, family_name(Stream(kind, name, unit)))

    def _accepts(self, row: Declaration, semconv: Semconv | None) -> dict[str, ExposedAttribute]:
        renamed = {key: key for key in row.attributes}
        if semconv is not None:
            renamed.update(semconv.attributes)
        accepts: dict[str, ExposedAttribute] = {}
        aliases: dict[str, ExposedAttribute] = {}
        taken = set()
        for key in _known(row):
            own = renamed.get(key, "")
            name = own and (self.labels.get(key) or self.labels.get(sanitize_label(own)) or own)
            if name in taken:
                pairs = ",".join(f"{old}={new}" for old, new in self.labels.items())
                raise SettingError("OTEL_OBS_LABELS", pairs, f"gives {row.family} the label {name!r} twice")
            values = semconv.values.get(key, {}) if semconv is not None else {}
            allowed = row.attributes.get(key, ANY)
            allowed = allowed and (*allowed, *values.values())
            accepts[key] = ExposedAttribute(name, allowed, values, key in row.ids)
            if name:
                taken.add(name)
                aliases[name] = aliases[own] = accepts[key]
        return {**aliases, **accepts}

    def _merge(self, row: Declaration) -> str:
        if not row.share:
            return row.merge
        return "share:" + ",".join(self.apply(part).name for part in row.share)


def _known(row: Declaration) -> Iterator[str]:
    yield from row.attributes
    if row.semconv is not None:
        yield from (key for key in row.semconv.attributes if key not in row.attributes)


def _split(family: str, unit: str, kind: Kind) -> tuple[str, str]:
    """The name and unit of an instrument that is exposed as *family*."""
    stem = family.removesuffix(TOTAL) if kind is Kind.COUNTER else family
    word = unit_word(unit)
    if not word:
        return stem, unit
    name = stem.removesuffix(f"_{word}")
    return (name, unit) if name != stem else (stem, "")
