"""What the command reads of others, such as pages and expressions, takes linear time too."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress

import pytest

from otel_obs.checks import endpoint
from otel_obs.checks.evidence import PageEvidence, Scraped
from otel_obs.checks.examination import judge
from otel_obs.cli.printable import printable
from otel_obs.cli.top import SEQUENCE
from otel_obs.diagnosis.examine import _TITLE
from otel_obs.diagnosis.launch import take_apart
from otel_obs.errors import OtelObsError
from otel_obs.live.rates import Rates
from otel_obs.ops.naming_on_page import recognise, service_name_on
from otel_obs.reading.fetch import Fetched, _refuse_many_lines
from otel_obs.reading.last_lines import last_lines_of
from otel_obs.reading.page import PageFormat
from otel_obs.reading.protobuf import ProtobufError, read_family_types
from otel_obs.reading.text import read_page
from otel_obs.usage.budget import parse_price, savings, shares
from otel_obs.usage.compare import breaks, changes
from otel_obs.usage.exposed import exposed_by
from otel_obs.usage.expressions import _without_variables
from otel_obs.usage.users import User, panels_in, used
from tests.support.linear import check, check_text

FORMATS: tuple[PageFormat, ...] = ("text", "openmetrics")


def examine(body: bytes, page_format: PageFormat = "text", headers: dict[str, str] | None = None) -> None:
    """Everything that the command asks of a page."""
    page = read_page(body, page_format)
    fetched = Fetched("x", 200, headers or {}, body, len(body), 0.1)
    judge(PageEvidence(Scraped(fetched, page), later=[Scraped(fetched, page)]))
    rates = Rates()
    for now_s in (0.0, 5.0):
        rates.add(page, now_s)
    rates.rows()
    shares(page), savings(page), recognise(page), service_name_on(page)
    families = exposed_by(page)
    changes(families, {}), breaks(families, {}, [])


def of_page(line: str) -> dict[str, Callable[[str], object]]:
    def read(text: str, page_format: PageFormat) -> None:
        examine(line.replace("TEXT", text).encode("utf-8", "replace"), page_format)

    return {
        f"{page_format}: {line!r}": lambda text, page_format=page_format: read(text, page_format)  # type: ignore[misc]
        for page_format in FORMATS
    }


def forgiving(read: Callable[[str], object]) -> Callable[[str], object]:
    def reading(text: str) -> None:
        with suppress(OtelObsError, ProtobufError):
            read(text)

    return reading


TEXTS: dict[str, Callable[[str], object]] = {
    **of_page("TEXT"),
    **of_page('http_requests_total{path="TEXT",status="200"} 1\n'),
    **of_page("m{TEXT} 1\n"),
    **of_page("# HELP m TEXT\n"),
    **of_page("# TYPE m TEXT\n"),
    **of_page("# TEXT"),
    **of_page('m 1 # {a="TEXT"} 1\n'),
    **of_page("m 1TEXT\n"),
    **of_page("requestTEXT 1\n"),
    "protobuf": forgiving(lambda text: read_family_types(text.encode("utf-8", "replace"))),
    "a Content-Type": lambda text: list(
        endpoint._content_type("text/plain; " + text.encode("utf-8", "replace").decode("latin-1"))
    ),
    "an expression without its variables": _without_variables,
    "an expression": lambda text: used(User("x", text)),
    "a query of a dashboard": lambda text: list(panels_in({"query": f"label_values({text}"}, "x")),
    "a price": forgiving(parse_price),
    "a price's blanks": forgiving(lambda text: parse_price("1 per 1" + " " * len(text))),
    "a title of a process": _TITLE.fullmatch,
    "a command": forgiving(lambda text: take_apart(["gunicorn", text, *text.split(" ")], {})),
    "keys": lambda text: SEQUENCE.sub("", text),
    "what is printed": printable,
    "lines of an answer": forgiving(lambda text: _refuse_many_lines("x", text.encode("utf-8", "replace"))),
    "the end of a log": lambda text: last_lines_of(io.BytesIO(text.encode("utf-8", "replace")), 10),
}


def lines_of(line: str) -> Callable[[int], object]:
    def read(size: int) -> None:
        text = "".join(line.replace("@", str(at)) for at in range(size))
        for page_format in FORMATS:
            examine(text.encode(), page_format)

    return read


def labels_of(size: int) -> None:
    examine(("m{" + ",".join(f'l{at}="{at}"' for at in range(size)) + "} 1\n").encode())


SIZES: dict[str, Callable[[int], object]] = {
    **{
        f"an expression of many {text!r}": lambda size, text=text: used(User("x", text * size + "up"))  # type: ignore[misc]
        for text in ("(", "-", "up+", "up or ", "sum(", "up==bool ", 'up{a="(((-",b="', "[")
    },
    "an expression that is nested": lambda size: used(User("x", "(" * size + "up" + ")" * size)),
    "families": lines_of("m@ 1\n"),
    "families with types": lines_of("# HELP m@ x\n# TYPE m@ counter\nm@_total 1\n"),
    "series": lines_of('http_requests_total{path="/@",status="200",method="GET"} 1\n'),
    "series that are there again": lines_of('m{a="1"} 1\n'),
    "samples with labels of their own": lines_of('m{l@="x"} 1\n'),
    "labels of one sample": labels_of,
    "histograms": lines_of('# TYPE h@ histogram\nh@_bucket{le="+Inf"} 1\nh@_count 1\nh@_sum 1\n'),
    "buckets": lines_of('h_seconds_bucket{le="@"} 1\n'),
    "scattered families": lines_of("a 1\nm@ 1\n"),
    "parameters of a Content-Type": lambda size: list(
        endpoint._content_type("text/plain" + "".join(f"; p{at}=1" for at in range(size)))
    ),
    "a quoted parameter of a Content-Type": lambda size: list(
        endpoint._content_type('text/plain; a="' + ";" * size)
    ),
}


@pytest.mark.parametrize("parser", TEXTS)
def test_a_text_that_the_command_reads_takes_linear_time(parser: str) -> None:
    check_text(TEXTS[parser])


@pytest.mark.parametrize("work", SIZES)
def test_many_of_what_the_command_reads_take_linear_time(work: str) -> None:
    check(SIZES[work], 1024)
