"""OpenTelemetry names, units and attributes to Prometheus names, suffixes and labels: the only translator.

Source: OpenTelemetry specification, Prometheus and OpenMetrics Compatibility, "OTLP Metric points to
Prometheus". Where the specification leaves a choice, the names of the stock exporter
(opentelemetry-exporter-prometheus) win, so that a service keeps its series when it moves here:

- the unit "1" gives no suffix, for gauges neither (`_ratio` was in older versions of the specification);
- a leading digit is replaced by `_`, not preceded by it.

The stock exporter's misspelt `TiBy` (`tibibytes`) and missing `kBy` are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from otel_obs.cells.attributes import Attributes, AttributeValue, label_value
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.exposition.lexical import Escaping, escape_label, escape_name

Translation = Literal[
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
]
"""The specification's `translation_strategy`; the first is its default."""

Labels = tuple[tuple[str, str], ...]
"""Label names and values, each name once; sorted by name, but for a family with an order of its own."""

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tebibytes",
    "kBy": "kilobytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
    "1": "",
}

PER_UNITS = {
    "s": "second",
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "y": "year",
}

TOTAL = "_total"

_ANNOTATION = re.compile(r"\{[^}]*\}?")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_UNDERSCORES = re.compile(r"__+")
_SCOPE_LABELS = ("otel_scope_name", "otel_scope_version", "otel_scope_schema_url")


@dataclass(frozen=True, slots=True)
class Spelling:
    """How names are spelt: the service chooses the translation strategy, the scraper the escaping."""

    translation: Translation = "UnderscoreEscapingWithSuffixes"
    escaping: Escaping = "underscores"

    @property
    def is_classic(self) -> bool:
        """Whether the strategy alone makes names classic, so that most escapings have nothing to do."""
        return self.translation.startswith("Underscore")

    @property
    def has_suffixes(self) -> bool:
        """Whether units and `_total` become suffixes."""
        return self.translation.endswith("WithSuffixes")

    def normal(self) -> Spelling:
        """The canonical one of all spellings that spell every name alike, so that caches are shared."""
        if self.is_classic and self.escaping != "dots":
            return Spelling(self.translation)
        return self

    def family(self, stream: Stream) -> str:
        """The name of the family that *stream* becomes, with all suffixes."""
        return _family(stream.name, stream.unit, stream.kind is Kind.COUNTER, self)

    def label(self, key: str) -> str:
        """The name of the label that the attribute *key* becomes."""
        return _label(key, self)


def family_name(stream: Stream) -> str:
    """The name under which *stream* is exposed by default: `http_requests_total`, `latency_seconds`.

    A histogram's samples add `_bucket`, `_count` and `_sum` to it.
    """
    return Spelling().family(stream)


@lru_cache(maxsize=1024)
def unit_word(unit: str) -> str:
    """Spell a UCUM unit in words: `By` is `bytes`, `m/s` is `meters_per_second`, `{request}` is nothing."""
    top, slash, bottom = (part.strip() for part in _ANNOTATION.sub("", unit).partition("/"))
    if slash and bottom:
        return "_".join(filter(None, (_word(top), "per", PER_UNITS.get(bottom) or _sanitize_unit(bottom))))
    return _word(top)


def sanitize_name(name: str) -> str:
    """Make the name of a metric a classic one; runs of `_` become one."""
    return _UNDERSCORES.sub("_", _no_leading_digit(_NOT_IN_NAMES.sub("_", name)))


def sanitize_label(key: str) -> str:
    """Make an attribute's key the name of a classic label; runs of `_` become one."""
    return _UNDERSCORES.sub("_", _no_leading_digit(_NOT_IN_LABELS.sub("_", key)))


def scope_attributes(scope: Scope) -> Attributes:
    """What the scope labels of *scope* are made from; empty fields give none."""
    own = tuple(zip(_SCOPE_LABELS, (scope.name, scope.version, scope.schema_url), strict=True))
    named = ((f"otel_scope_{key}", value) for key, value in scope.attributes)
    return (
        *((key, value) for key, value in own if value),
        *((key, value) for key, value in named if sanitize_label(key) not in _SCOPE_LABELS),
    )


def join_labels(
    attributes: Sequence[tuple[str, AttributeValue]], naming: Spelling, reserved: str = ""
) -> Labels:
    """Make labels from *attributes*; values whose keys become one label are joined by `;`, by original key.

    Args:
        attributes: Keys and values, in any order; a key may come twice.
        naming: How keys are spelt.
        reserved: A label that the format itself adds (`le`); an attribute of that name becomes
            `exported_le`, as Prometheus renames labels that collide with its own.
    """
    values: dict[str, list[str]] = {}
    for key, value in sorted(attributes, key=_key):
        name = naming.label(key)
        if name == reserved:
            name = f"exported_{name}"
        text = label_value(value)
        if text:  # to Prometheus, a label that is empty is one that is not there
            values.setdefault(name, []).append(text)
    return tuple((name, ";".join(values[name])) for name in sorted(values))


def _key(attribute: tuple[str, AttributeValue]) -> str:
    return attribute[0]


@lru_cache(maxsize=4096)
def _family(name: str, unit: str, is_counter: bool, naming: Spelling) -> str:
    if naming.is_classic:
        name = sanitize_name(name)
    if naming.has_suffixes:
        name = _with_suffixes(name, unit_word(unit), is_counter)
        if naming.is_classic:
            name = _UNDERSCORES.sub("_", name)
    if is_counter and name == TOTAL:
        name += TOTAL  # nothing would be left of it as the family of an OpenMetrics counter
    return escape_name(name, naming.escaping)


def _with_suffixes(name: str, unit: str, is_counter: bool) -> str:
    stem = name.removesuffix(TOTAL) if is_counter else name
    if unit and stem != unit and not stem.endswith(f"_{unit}"):
        stem = f"{stem}_{unit}"
    return stem + TOTAL if is_counter else stem


@lru_cache(maxsize=4096)
def _label(key: str, naming: Spelling) -> str:
    label = escape_label(sanitize_label(key) if naming.is_classic else key, naming.escaping)
    if label.startswith("__"):
        return "_" + label.lstrip("_")  # labels that begin with two are Prometheus' own, `__name__` above all
    return label


def _no_leading_digit(name: str) -> str:
    return f"_{name[1:]}" if name[:1].isdigit() else name


def _word(unit: str) -> str:
    word = UNITS.get(unit)
    return _sanitize_unit(unit) if word is None else word


def _sanitize_unit(unit: str) -> str:
    return _UNDERSCORES.sub("_", _NOT_IN_NAMES.sub("_", unit)).strip("_")
