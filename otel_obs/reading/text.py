"""Parse a page in Prometheus' text format or in OpenMetrics: all valid lines, and every flaw.

Kinds of flaw: `encoding`, `syntax`, `comment`, `type`, `type_twice`, `help_twice`, `unit_twice`,
`family_twice`, `late_type`, `scattered`, `series_twice`, `no_newline`, `no_eof`, `after_eof`, `suffix`,
`unit_name`.

Sources: Prometheus, exposition formats, text 0.0.4 and 1.0.0; OpenMetrics 1.0.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_obs.reading import lines
from otel_obs.reading.lines import LineError
from otel_obs.reading.page import Flaw, PageFormat, ScrapedFamily, ScrapedPage, ScrapedSample, ScrapedSeries

TEXT_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
OPENMETRICS_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}
OPENMETRICS_RESERVED = ("_total", "_bucket", "_count", "_sum", "_gcount", "_gsum", "_info", "_created")
TEXT_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
OPENMETRICS_TYPES = frozenset({*OPENMETRICS_SUFFIXES, "gauge", "stateset", "unknown"})

MAX_CACHED_SERIES = 200_000

_EOF = "# EOF"


def format_of(content_type: str) -> PageFormat:
    """The format that a Content-Type header announces; text without a known one."""
    media = content_type.partition(";")[0].strip().lower()
    return "openmetrics" if media == "application/openmetrics-text" else "text"


def guess_format(text: str) -> PageFormat:
    """The format of a page that came without a header: only OpenMetrics has an end mark."""
    return "openmetrics" if text.endswith(("# EOF\n", "# EOF")) else "text"


class PageReader:
    """Parses pages. Series are cached, so that another page of the same service takes less time."""

    def __init__(self) -> None:
        self._known: dict[str, ScrapedSeries] = {}

    def read(self, body: bytes, page_format: PageFormat | None = None) -> ScrapedPage:
        """Parse one page; its format is guessed where it is not given. Errors become flaws; none raises."""
        flaws = []
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            line = body.count(b"\n", 0, error.start) + 1
            flaws.append(Flaw(line, "encoding", f"byte {error.start} is not UTF-8"))
            text = body.decode(errors="replace")
        reading = _PageReading(page_format or guess_format(text), self._series)
        for flaw in flaws:
            reading.page.add_flaw(flaw)
        return reading.read(text)

    def _series(self, text: str) -> ScrapedSeries:
        known = self._known.get(text)
        if known is None:
            known = lines.read_series(text)
            if len(self._known) >= MAX_CACHED_SERIES:
                self._known.clear()
            self._known[text] = known
        return known


def read_page(body: bytes, page_format: PageFormat | None = None) -> ScrapedPage:
    """Parse one page; its format is guessed where it is not given."""
    return PageReader().read(body, page_format)


class _PageReading:
    """The state of reading one page."""

    def __init__(self, page_format: PageFormat, series: Callable[[str], ScrapedSeries]) -> None:
        self.page = ScrapedPage(page_format)
        self._series = series
        self._strict = page_format == "openmetrics"
        self._types = OPENMETRICS_TYPES if self._strict else TEXT_TYPES
        self._suffixes = OPENMETRICS_SUFFIXES if self._strict else TEXT_SUFFIXES
        self._current: ScrapedFamily | None = None
        self._owners: dict[str, ScrapedFamily] = {}
        self._said: set[tuple[str, str]] = set()
        self._seen: set[tuple[str, object, float | None]] = set()
        self._line = 0

    def read(self, text: str) -> ScrapedPage:
        """Read every line."""
        if text and not text.endswith("\n"):
            self._flaw("no_newline", "the last line does not end", line=text.count("\n") + 1)
        all_lines = text.split("\n")
        if not all_lines[-1]:
            all_lines.pop()
        ended = False
        for self._line, line in enumerate(all_lines, 1):
            if ended:
                self._flaw("after_eof", f"{lines.shown(line)} stands behind # EOF")
                break
            ended = self._strict and line == _EOF
            if not ended:
                self._read_line(line)
        if self._strict and not ended:
            self._flaw("no_eof", "the page does not end with # EOF: it may be cut off")
        return self.page

    def _flaw(self, kind: str, what: str, line: int | None = None) -> None:
        self.page.add_flaw(Flaw(self._line if line is None else line, kind, what))

    def _flaw_once(self, kind: str, family: str, what: str) -> None:
        if (kind, family) not in self._said:
            self._said.add((kind, family))
            self._flaw(kind, what)

    def _read_line(self, line: str) -> None:
        try:
            plain = lines.PLAIN.match(line)
            if plain is not None:
                self._add(
                    ScrapedSample(self._series(plain[1]), lines.read_number(plain[2]), None, None, self._line)
                )
            elif line.lstrip(" \t").startswith("#"):
                self._read_comment(line)
            elif line.strip(" \t"):
                self._add(self._read_sample(line))
            elif self._strict:
                self._flaw("comment", "OpenMetrics has no empty lines")
        except LineError as error:
            self._flaw("syntax", str(error))

    def _read_sample(self, line: str) -> ScrapedSample:
        text, rest = lines.split_series(line)
        exemplar = None
        if self._strict and "#" in rest:
            rest, _, after = rest.partition("#")
            exemplar = lines.read_exemplar(after)
        parts = lines.words(rest)
        if len(parts) not in (1, 2):
            raise LineError(
                f"{lines.shown(line)} has {len(parts)} numbers; expected a value, and a time if any"
            )
        timestamp_s = lines.read_number(parts[1]) if parts[1:] else None
        if timestamp_s is not None and not self._strict:
            timestamp_s /= 1000
        return ScrapedSample(
            self._series(text), lines.read_number(parts[0]), timestamp_s, exemplar, self._line
        )

    def _add(self, sample: ScrapedSample) -> None:
        name = sample.series.name
        family = self._owners.get(name)
        if family is None:
            family = self._begin(name)
        elif family is not self._current:
            if family.samples or self._current is None or self._strict:
                what = f"samples of {family.name} do not stand together"
                self._flaw_once("scattered", family.name, what)
            self._current = family
        key = (name, sample.series.pairs, sample.timestamp_s)
        if key in self._seen:
            self._flaw("series_twice", f"{name}{lines.shown(str(dict(sample.labels)))} is there twice")
        self._seen.add(key)
        family.samples.append(sample)

    def _begin(self, name: str) -> ScrapedFamily:
        """Start the family of a sample that no TYPE has announced."""
        family = self.page.families.get(name)
        if family is None:
            family = self.page.families[name] = ScrapedFamily(name, self._line)
        if family.type not in ("unknown", "gauge", "stateset"):
            self._flaw_once(
                "suffix", name, f"{name} is of type {family.type}, and has no sample of that name"
            )
        elif self._strict and name.endswith(OPENMETRICS_RESERVED):
            self._flaw_once("suffix", name, f"{name} has no TYPE that allows its suffix")
        self._owners.setdefault(name, family)
        self._current = family
        return family

    def _own(self, family: ScrapedFamily) -> None:
        for suffix in self._suffixes.get(family.type, ("",)):
            self._owners.setdefault(family.name + suffix, family)

    def _read_comment(self, line: str) -> None:
        start = line.index("#") + 1
        keyword, name, rest = self._comment_parts(line[start:])
        read = {"HELP": self._read_help, "TYPE": self._read_type, "UNIT": self._read_unit}.get(keyword)
        if read is None or (keyword == "UNIT" and not self._strict):
            if self._strict:
                self._flaw("comment", f"{lines.shown(line)}: OpenMetrics has no comments")
            return
        if not name:
            raise LineError(f"{lines.shown(line)} names no metric")
        read(name, rest)

    def _comment_parts(self, text: str) -> tuple[str, str, str]:
        """The keyword, the metric's name and the rest of the comment."""
        keyword, after = _word(text)
        if after.lstrip(" \t").startswith('"'):
            position = lines.skip_blanks(after)
            name, rest = _quoted(after[position:])
            return keyword, name, rest
        name, rest = _word(after)
        return keyword, name, rest

    def _described(self, name: str, kind: str) -> ScrapedFamily:
        """The family that a HELP, TYPE or UNIT comment describes."""
        family = self.page.families.get(name)
        if family is None:
            family = ScrapedFamily(name, self._line)
            self.page.families[name] = family
        elif family is not self._current:
            self._flaw_once("family_twice", name, f"{name} is described a second time: {kind}")
        self._current = family
        return family

    def _read_help(self, name: str, text: str) -> None:
        family = self._described(name, "HELP")
        self._once("help_twice", family, "HELP")
        family.help = lines.unescape(text) if self._strict else lines.unescape_help(text)

    def _read_type(self, name: str, text: str) -> None:
        family = self._described(name, "TYPE")
        self._once("type_twice", family, "TYPE")
        kind = text.strip(" \t")
        if kind not in self._types:
            self._flaw(
                "type", f"{name} has the type {lines.shown(kind)}; expected one of {sorted(self._types)}"
            )
            kind = "unknown"
        if family.samples:
            self._flaw("late_type", f"the TYPE of {name} stands behind its first sample")
        elif self._strict and kind == "counter" and name.endswith("_total"):
            self._flaw("suffix", f"the counter's family {name} must not end in _total in OpenMetrics")
        family.is_typed = True
        family.type = "unknown" if kind == "untyped" else kind
        self._own(family)

    def _read_unit(self, name: str, text: str) -> None:
        family = self._described(name, "UNIT")
        self._once("unit_twice", family, "UNIT")
        family.unit = text.strip(" \t")
        if family.unit and not name.endswith("_" + family.unit):
            self._flaw("unit_name", f"{name} does not end in its unit {lines.shown(family.unit)}")

    def _once(self, kind: str, family: ScrapedFamily, keyword: str) -> None:
        if (keyword, family.name) in self._said:
            self._flaw(kind, f"{family.name} has a second {keyword}")
        self._said.add((keyword, family.name))


def _word(text: str) -> tuple[str, str]:
    """The first word of *text*, and the rest without the blanks before it."""
    start = lines.skip_blanks(text)
    end = start
    while end < len(text) and text[end] not in " \t":
        end += 1
    return text[start:end], text[lines.skip_blanks(text, end) :]


def _quoted(text: str) -> tuple[str, str]:
    """A quoted name, and what follows it."""
    match = lines.QUOTED.match(text)
    if match is None:
        raise LineError(f"the name {lines.shown(text)} does not end")
    return lines.unescape(match[0][1:-1]), text[lines.skip_blanks(text, match.end()) :]
