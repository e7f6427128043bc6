"""A strict parser of OpenMetrics 2.0.0-rc0, written from the grammar and the MUSTs of its specification."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf

Key = tuple[str, frozenset[tuple[str, str]]]
Shown = tuple[frozenset[tuple[str, str]], float, float]

_REAL = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|[0-9]*\.[0-9]+)(?:e[+-]?[0-9]+)?"
_NUMBER = rf"(?:{_REAL}|[+-]?(?i:infinity|inf)|(?i:nan))"
_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_STRING = r'"(?:[^\n"\\]|\\[^\n])*"'
_LABEL = rf'(?:[a-zA-Z_][a-zA-Z0-9_]*|(?!""){_STRING})={_STRING}'
_LABELS = rf"\{{(?:{_LABEL}(?:,{_LABEL})*)?\}}"
_METADATA = re.compile(rf'# (TYPE|HELP|UNIT) ({_NAME}|(?!""){_STRING}) (.*)')
_SAMPLE = re.compile(
    rf'(?:({_NAME})({_LABELS})?|\{{((?!""){_STRING})((?:,{_LABEL})*)\}})'
    rf" ({_NUMBER}|\{{[^ {{}}]*\}})(?: ({_REAL}))?(?: st@({_REAL}))?((?: # {_LABELS} {_NUMBER} {_REAL})*)"
)
_ONE_LABEL = re.compile(rf'([a-zA-Z_][a-zA-Z0-9_]*|(?!""){_STRING})=({_STRING})')
_EXEMPLAR = re.compile(rf" # ({_LABELS}) ({_NUMBER}) ({_REAL})")
_BUCKETS = rf"bucket:\[(?P<bucket>(?:(?:-Inf|{_REAL}):{_NUMBER},)*\+Inf:{_NUMBER})\]"
_SPANS = r"[+-]?[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*"
_COUNTS = rf"{_NUMBER}(?:,{_NUMBER})*"
_NATIVE = (
    rf"schema:(?P<schema>[+-]?[0-9]+),zero_threshold:(?P<zero_threshold>{_REAL}),zero_count:(?P<zero_count>{_NUMBER})"
    + "".join(
        rf"(?:,{sign}_spans:\[(?P<{sign}_spans>{_SPANS})\],{sign}_buckets:\[(?P<{sign}_buckets>{_COUNTS})\])?"
        for sign in ("negative", "positive")
    )
)
_ONLY_BUCKETS = _BUCKETS.replace("P<bucket>", "P<only>")
_HISTOGRAM = (
    rf"count:(?P<count>{_NUMBER}),GAUGEsum:(?P<sum>{_NUMBER}),(?:{_NATIVE}(?:,{_BUCKETS})?|{_ONLY_BUCKETS})"
)
_QUANTILES = rf"(?P<quantile>(?:{_REAL}:{_NUMBER}(?:,{_REAL}:{_NUMBER})*)?)"
_COMPOSITES = {
    "histogram": re.compile(rf"\{{{_HISTOGRAM.replace('GAUGE', '')}\}}"),
    "gaugehistogram": re.compile(rf"\{{g{_HISTOGRAM.replace('GAUGE', 'g')}\}}"),
    "summary": re.compile(
        rf"\{{count:(?P<count>{_NUMBER}),sum:(?P<sum>{_NUMBER}),quantile:\[{_QUANTILES}\]\}}"
    ),
}
_TYPES = {"counter", "gauge", "stateset", "info", "unknown", *_COMPOSITES}


@dataclass
class Page:
    """What a page says, with the samples that OpenMetrics 1.0 has for composite values."""

    types: dict[str, str] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    helps: dict[str, str] = field(default_factory=dict)
    values: dict[Key, float] = field(default_factory=dict)
    times: dict[Key, float] = field(default_factory=dict)
    starts: dict[Key, float] = field(default_factory=dict)
    native: dict[Key, dict[str, str]] = field(default_factory=dict)
    exemplars: dict[Key, list[Shown]] = field(default_factory=dict)
    group: frozenset[tuple[str, str]] | None = None
    groups: set[Key] = field(default_factory=set)


def parse(text: str) -> Page:
    """Read a page.

    Raises:
        AssertionError: The specification forbids it.
    """
    assert text.endswith("# EOF\n"), "no end"
    page, ended, current, series = Page(), set[str](), "", set[Key]()
    for line in text[: -len("# EOF\n")].split("\n")[:-1]:
        metadata, sample = _METADATA.fullmatch(line), _SAMPLE.fullmatch(line)
        assert metadata or sample, f"not in the grammar: {line!r}"
        if metadata:
            name = _unquoted(metadata[2])
        else:
            assert sample is not None
            name = sample[1] or _unquoted(sample[3])
        if name != current:
            assert name not in ended, f"{name!r} is interleaved"
            ended.add(name)
            current = name
        if metadata:
            _metadata(page, name, metadata[1], metadata[3], series)
        else:
            assert sample is not None
            _sample(page, name, sample, series)
    return page


def read_sample(line: str) -> tuple[Key, float]:
    """The key and the number of a sample's line, as all text formats have it."""
    found = _SAMPLE.fullmatch(line)
    assert found, line
    return (found[1] or _unquoted(found[3]), _labels(found[2] or found[4] or "")), float(found[5])


def _metadata(page: Page, name: str, what: str, text: str, series: set[Key]) -> None:
    texts = {"TYPE": page.types, "UNIT": page.units, "HELP": page.helps}[what]
    assert name not in texts, f"two {what} of {name!r}"
    assert all(key[0] != name for key in series), "metadata follows samples"
    if what == "TYPE":
        assert text in _TYPES, text
        assert text != "info" or name.endswith("_info"), name
    elif what == "UNIT":
        assert re.fullmatch("[a-zA-Z0-9_:]*", text), text
        assert page.types.get(name) not in ("info", "stateset"), name
    else:
        assert re.fullmatch(r'(?:[^\n"\\]|\\[^\n])*', text), text
    texts[name] = _unescaped(text) if what == "HELP" else text


def _sample(page: Page, name: str, found: re.Match[str], series: set[Key]) -> None:
    kind = page.types.get(name, "unknown")
    labels = _labels(found[2] or found[4] or "")
    key = name, labels
    unix_s = float(found[6]) if found[6] else None
    if key in series:  # one that is there again has a later time
        assert page.times.get(key, inf) < (inf if unix_s is None else unix_s), f"{key} is there twice"
    if kind == "stateset":
        group = labels - {label for label in labels if label[0] == name}
        assert group == page.group or (name, group) not in page.groups, f"{group} is interleaved"
        page.group, page.groups = group, page.groups | {(name, group)}
    series.add(key)
    if unix_s is not None:
        page.times[key] = unix_s
    if found[7]:
        assert kind in ("counter", "histogram", "summary"), f"a {kind} has no start"
        page.starts[key] = float(found[7])
    shown = [(_labels(one[1]), float(one[2]), float(one[3])) for one in _EXEMPLAR.finditer(found[8])]
    if shown:
        page.exemplars[key] = shown
    if kind in _COMPOSITES:
        composite = _COMPOSITES[kind].fullmatch(found[5])
        assert composite, f"no value of a {kind}: {found[5]!r}"
        _composite(page, key, kind, composite.groupdict())
        return
    assert not found[5].startswith("{"), f"a value of many numbers for a {kind}"
    value = page.values[key] = float(found[5])
    assert kind != "counter" or value >= 0, f"{value} is no counter"
    assert kind != "info" or value == 1
    assert kind != "stateset" or (value in (0, 1) and name in dict(labels))


def _composite(page: Page, key: Key, kind: str, fields: dict[str, str | None]) -> None:
    name, labels = key
    own, suffix, g = ("quantile", "", "") if kind == "summary" else ("le", "_bucket", "g" * (kind[0] == "g"))
    assert own not in dict(labels)
    count, total = float(fields["count"] or "nan"), float(fields["sum"] or "nan")
    page.values[name + f"_{g}count", labels], page.values[name + f"_{g}sum", labels] = count, total
    assert kind == "gaugehistogram" or count >= 0
    assert kind != "summary" or (total >= 0 and count % 1 == 0)
    listed = fields.get("bucket") or fields.get("only") or fields.get("quantile") or ""
    points = [tuple(map(float, one.split(":"))) for one in listed.split(",") if one]
    assert [at for at, _ in points] == sorted({at for at, _ in points}), listed
    for at, value in points:
        page.values[name + suffix, labels | {(own, _spelt(at))}] = value
    if kind == "summary":
        assert all(0 <= at <= 1 and not value < 0 for at, value in points), listed
    elif points:
        assert points[-1] == (inf, count), listed
        assert [value for _, value in points] == sorted(value for _, value in points)
    if fields.get("schema"):
        page.native[key] = {field: text for field, text in fields.items() if text is not None}
        _check_native(fields, count)


def _check_native(fields: dict[str, str | None], count: float) -> None:
    assert -4 <= int(fields["schema"] or "") <= 8
    assert float(fields["zero_threshold"] or "") >= 0
    whole = float(fields["zero_count"] or "")
    for sign in ("negative", "positive"):
        spans, buckets = fields[f"{sign}_spans"], fields[f"{sign}_buckets"]
        lengths = [int(one.split(":")[1]) for one in spans.split(",")] if spans else []
        values = [float(one) for one in buckets.split(",")] if buckets else []
        assert sum(lengths) == len(values)
        assert all(value >= 0 for value in values)
        whole += sum(values)
    assert whole == count


def _spelt(value: float) -> str:
    return "+Inf" if value == inf else repr(value)


def _labels(text: str) -> frozenset[tuple[str, str]]:
    found = [(_unquoted(one[1]), _unquoted(one[2])) for one in _ONE_LABEL.finditer(text)]
    assert len(dict(found)) == len(found), f"a label is there twice: {text}"
    return frozenset(found)


def _unquoted(text: str) -> str:
    return _unescaped(text[1:-1]) if text.startswith('"') else text


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text, flags=re.DOTALL)
