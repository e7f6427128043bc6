"""Endpoints that are broken on purpose, each in one way, with the codes that `check` must give."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.endpoints import OPENMETRICS, PROTOBUF, TEXT, Reply, Replying, always

HEAD = "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n"
GOOD = HEAD + 'jobs_total{queue="a"} 3\n'
OPENMETRICS_GOOD = '# HELP jobs Jobs.\n# TYPE jobs counter\njobs_total{queue="a"} 3\n# EOF\n'


class Broken(NamedTuple):
    """How an endpoint answers, and the codes of all that is wrong with it."""

    reply: Replying
    codes: set[str]


def family(name: str, kind: str, *samples: str) -> str:
    """A family with a help text; samples are written without their name."""
    lines = "".join(f"{name}{sample}\n" for sample in samples)
    return f"# HELP {name} What it is.\n# TYPE {name} {kind}\n{lines}"


def in_turn(*texts: str) -> Replying:
    """One text after the other, again and again, as workers do that know nothing of each other."""
    return lambda accept, before: Reply(texts[before % len(texts)].encode())


def reset_once(accept: str, before: int) -> Reply:
    """A counter that somebody sets to zero."""
    value = 500 + before if before < 5 else before
    return Reply(f"{HEAD}jobs_total {value}\n".encode())


def once_elsewhere(accept: str, before: int) -> Reply:
    """One answer is another worker's: what is more there falls after it, and never comes back."""
    jobs, tasks = (7, 9) if before == 3 else (30, 3)
    text = f"{HEAD}jobs_total {jobs}\n" + family("tasks_total", "counter", f" {tasks}")
    return Reply(text.encode())


def openmetrics_elsewhere(accept: str, before: int) -> Reply:
    """The first answer in OpenMetrics is of a worker that has nothing to tell yet."""
    if "openmetrics" not in accept:
        return Reply(GOOD.encode())
    return Reply((b"# EOF\n" if before == 1 else OPENMETRICS_GOOD.encode()), OPENMETRICS)


def error_once(accept: str, before: int) -> Reply:
    """One of the workers fails."""
    return Reply(b"oops\n", status=500) if before == 6 else by_format(GOOD)(accept, before)


def cut_once(accept: str, before: int) -> Reply:
    """A worker that ends while it answers."""
    return (
        Reply(GOOD.encode(), headers={"Content-Length": "5000"})
        if before == 6
        else by_format(GOOD)(accept, before)
    )


def slow(accept: str, before: int) -> Reply:
    """An answer that takes its time; 0.3 s is slow where 0.2 s is allowed."""
    time.sleep(0.3)
    return Reply(GOOD.encode())


def by_format(text: str, openmetrics: str = OPENMETRICS_GOOD, protobuf: bytes | None = None) -> Replying:
    """Each format for itself."""

    def reply(accept: str, before: int) -> Reply:
        if "protobuf" in accept and protobuf is not None:
            return Reply(protobuf, PROTOBUF)
        if "openmetrics" in accept:
            return Reply(openmetrics.encode(), OPENMETRICS)
        return Reply(text.encode())

    return reply


UUID = "6ba7b810-9dad-11d1-80b4-00c04fd430"
HISTOGRAM = "# HELP took_seconds Time.\n# TYPE took_seconds histogram\n"

BROKEN: Mapping[str, Broken] = {
    "an error": Broken(lambda accept, before: Reply(b"oops\n", status=500), {"OBS002"}),
    "a password": Broken(lambda accept, before: Reply(b"", status=401), {"OBS002"}),
    "an empty page": Broken(always(""), {"OBS017"}),
    "a page of comments": Broken(always(HEAD), {"OBS017"}),
    "one answer that is an error": Broken(error_once, {"OBS002"}),
    "one answer that is cut off": Broken(cut_once, {"OBS015"}),
    "a page that ends before its announced end": Broken(
        lambda accept, before: Reply(GOOD.encode(), headers={"Content-Length": "5000"}), {"OBS015"}
    ),
    "no content type": Broken(always(GOOD, None), {"OBS003"}),
    "the content type of another format": Broken(always(GOOD, "application/json"), {"OBS003"}),
    "a web page": Broken(always("<html>\n", "text/html"), {"OBS003", "OBS010"}),
    "a charset twice": Broken(always(GOOD, TEXT + "; charset=utf-8"), {"OBS004"}),
    "a parameter without its value": Broken(always(GOOD, "text/plain; charset"), {"OBS004"}),
    "a parameter that does not end": Broken(always(GOOD, 'text/plain; version="0.0.4'), {"OBS004"}),
    "a web page on one line": Broken(always("<html></html>", "text/html"), {"OBS003", "OBS010"}),
    "a page in UTF-16": Broken(lambda accept, before: Reply(GOOD.encode("utf-16")), {"OBS010"}),
    "text that is announced as OpenMetrics": Broken(always(GOOD, OPENMETRICS), {"OBS005"}),
    "OpenMetrics that is announced as text": Broken(always(OPENMETRICS_GOOD), {"OBS005"}),
    "a slow scrape": Broken(slow, {"OBS006"}),
    "a large page": Broken(
        always(family("a_total", "counter", *(f'{{n="{"x" * 990}{n % 90}"}} {n}' for n in range(12)))),
        {"OBS007", "OBS008"},
    ),
    "a newline in a label value": Broken(always(HEAD + 'jobs_total{queue="a\nb"} 3\n'), {"OBS010"}),
    "a quote in a label value": Broken(always(HEAD + 'jobs_total{queue="a"b"} 3\n'), {"OBS010"}),
    "a comma for a point": Broken(always(HEAD + "jobs_total 3,5\n"), {"OBS010"}),
    "bytes that are no text": Broken(
        lambda accept, before: Reply(HEAD.encode() + b'jobs_total{queue="\xff"} 2\n'),
        {"OBS010"},
    ),
    "OpenMetrics with a comment": Broken(by_format(GOOD, "# by hand\n" + OPENMETRICS_GOOD), {"OBS011"}),
    "protobuf that is cut off": Broken(by_format(GOOD, protobuf=b"\x20\x0a\x04jobs"), {"OBS012"}),
    "a series twice": Broken(always(GOOD + 'jobs_total{queue="a"} 4\n'), {"OBS013"}),
    "two pages joined": Broken(
        always(GOOD + family("b", "gauge", " 1") + HEAD + 'jobs_total{queue="z"} 1\n'), {"OBS014"}
    ),
    "a page that is cut off": Broken(always(GOOD + "jobs_to"), {"OBS010", "OBS015"}),
    "OpenMetrics that is cut off": Broken(by_format(GOOD, OPENMETRICS_GOOD[:-6]), {"OBS015"}),
    "formats that disagree": Broken(by_format(GOOD + family("b", "gauge", " 1")), {"OBS016"}),
    "types that disagree": Broken(
        by_format(
            family("jobs", "gauge", " 1"), "# HELP jobs Jobs.\n# TYPE jobs unknown\njobs 1\n# EOF\n"
        ),
        {"OBS016"},
    ),
    "a counter without its suffix": Broken(always(family("jobs", "counter", " 3")), {"OBS020"}),
    "a gauge with the suffix of counters": Broken(always(family("jobs_total", "gauge", " 3")), {"OBS021"}),
    "no type": Broken(always("# HELP jobs Jobs.\njobs 3\n"), {"OBS022"}),
    "no help": Broken(always("# TYPE jobs gauge\njobs 3\n"), {"OBS023"}),
    "milliseconds": Broken(always(family("took_ms", "gauge", " 3")), {"OBS024"}),
    "camel case": Broken(always(family("jobsDone_total", "counter", " 3")), {"OBS025"}),
    "capitals": Broken(always(family("HTTPRequests_total", "counter", " 3")), {"OBS025"}),
    "a colon": Broken(always(family("jobs:rate", "gauge", " 3")), {"OBS026"}),
    "a gauge that looks like a histogram": Broken(always(family("took_sum", "gauge", " 3")), {"OBS027"}),
    "a reserved label": Broken(always(family("jobs", "gauge", '{__name="a"} 3')), {"OBS028"}),
    "a bucket's label on a gauge": Broken(always(family("jobs", "gauge", '{le="1"} 3')), {"OBS028"}),
    "a label of Prometheus' own": Broken(always(family("jobs", "gauge", '{job="a"} 3')), {"OBS029"}),
    "an empty label value": Broken(always(family("jobs", "gauge", '{queue=""} 3')), {"OBS030"}),
    "NaN": Broken(always(family("jobs", "gauge", " NaN")), {"OBS031"}),
    "a counter below zero": Broken(always(family("jobs_total", "counter", " -3")), {"OBS032"}),
    "a counter without an end": Broken(always(family("jobs_total", "counter", " +Inf")), {"OBS031"}),
    "a count below zero": Broken(
        always("# HELP took Time.\n# TYPE took summary\ntook_sum 3\ntook_count -3\n"), {"OBS032"}
    ),
    "a histogram without buckets": Broken(
        always(HISTOGRAM + "took_seconds_sum 3\ntook_seconds_count 9\n"), {"OBS033"}
    ),
    "a bound that is written in two ways": Broken(
        always(
            HISTOGRAM + 'took_seconds_bucket{le="1"} 5\ntook_seconds_bucket{le="1.0"} 5\n'
            'took_seconds_bucket{le="+Inf"} 9\ntook_seconds_sum 3\ntook_seconds_count 9\n'
        ),
        {"OBS033"},
    ),
    "buckets that are not cumulative": Broken(
        always(
            HISTOGRAM + 'took_seconds_bucket{le="0.1"} 5\ntook_seconds_bucket{le="1"} 2\n'
            'took_seconds_bucket{le="+Inf"} 9\ntook_seconds_sum 3\ntook_seconds_count 9\n'
        ),
        {"OBS033"},
    ),
    "no last bucket": Broken(
        always(HISTOGRAM + 'took_seconds_bucket{le="0.1"} 5\ntook_seconds_sum 3\ntook_seconds_count 5\n'),
        {"OBS033"},
    ),
    "another count than in the buckets": Broken(
        always(HISTOGRAM + 'took_seconds_bucket{le="+Inf"} 5\ntook_seconds_sum 3\ntook_seconds_count 6\n'),
        {"OBS033"},
    ),
    "milliseconds in buckets of seconds": Broken(
        always(
            HISTOGRAM + 'took_seconds_bucket{le="1"} 4\ntook_seconds_bucket{le="10"} 9\n'
            'took_seconds_bucket{le="+Inf"} 900\ntook_seconds_sum 90000\ntook_seconds_count 900\n'
        ),
        {"OBS034"},
    ),
    "seconds in buckets of milliseconds": Broken(
        always(
            HISTOGRAM + 'took_seconds_bucket{le="50"} 900\ntook_seconds_bucket{le="100"} 900\n'
            'took_seconds_bucket{le="+Inf"} 900\ntook_seconds_sum 90\ntook_seconds_count 900\n'
        ),
        {"OBS035"},
    ),
    "times of their own": Broken(always(family("jobs", "gauge", " 3 1700000000000")), {"OBS036"}),
    "an info metric that counts": Broken(always(family("app_info", "gauge", '{version="1"} 3')), {"OBS037"}),
    "very many series": Broken(
        always("".join(family(f"m{n}", "gauge", " 1") for n in range(120))), {"OBS040"}
    ),
    "a label that grows": Broken(
        always(family("jobs", "gauge", *(f'{{user="u{n}"}} 1' for n in range(60)))), {"OBS041"}
    ),
    "ids in a label": Broken(
        always(family("jobs", "gauge", *(f'{{user="{UUID}{n:02d}"}} 1' for n in range(20)))), {"OBS042"}
    ),
    "paths for routes": Broken(
        always(family("hits_total", "counter", *(f'{{path="/user/{n}"}} 1' for n in range(20)))), {"OBS042"}
    ),
    **{
        f"ids in a label: {values[0]}": Broken(
            always(family("jobs", "gauge", *(f'{{{label}="{value}"}} 1' for value in values))), {"OBS042"}
        )
        for label, values in {
            "client": [f"2001:db8::{n:x}" for n in range(20)],
            "address": [f"10.0.0.{n}" for n in range(20)],
            "began": [f"2026-01-02T03:04:{n:02d}Z" for n in range(20)],
            "user_id": [str(n) for n in range(20)],
            "entry": [f"01ARZ3NDEKTSV4RRFFQ69G5F{n:02d}" for n in range(20)],
            "statement": [f"SELECT * FROM users WHERE id = {n}" for n in range(20)],
        }.items()
    },
    "an overflow series": Broken(
        always(family("jobs", "gauge", '{user="a"} 1', '{otel_metric_overflow="true"} 70')), {"OBS043"}
    ),
    "two targets": Broken(
        always(family("target_info", "gauge", '{service_name="a"} 1', '{service_name="b"} 1')), {"OBS044"}
    ),
    "a counter that falls": Broken(reset_once, {"OBS050"}),
    "workers that answer for themselves": Broken(
        in_turn(HEAD + "jobs_total 30\n", HEAD + "jobs_total 7\n"), {"OBS051"}
    ),
    "one answer of another worker": Broken(once_elsewhere, {"OBS051"}),
    "a worker that started before the other": Broken(
        lambda accept, before: Reply(
            family("process_start_time_seconds", "gauge", " 200" if before < 5 else " 100").encode()
        ),
        {"OBS051"},
    ),
    "series that only some workers have": Broken(
        in_turn(GOOD, HEAD + 'jobs_total{queue="b"} 3\n'), {"OBS051"}
    ),
    "two libraries": Broken(
        always(
            family("http_requests_total", "counter", '{method="GET",endpoint="/",status_code="200"} 3')
            + family("flask_http_request_total", "counter", '{method="GET",status="200",path="/"} 3')
        ),
        {"OBS060"},
    ),
    "two scopes": Broken(
        always(
            family(
                "http_server_request_duration_seconds_count",
                "untyped",
                *(f'{{http_route="/",status_code="200",otel_scope_name="{s}"}} 3' for s in "ab"),
            )
        ),
        {"OBS060"},
    ),
}  # fmt: skip
