"""What prometheus_client collects, beside ours, in every format; prometheus_client itself is the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from google.protobuf import text_format
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Metric,
    Summary,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
    UnknownMetricFamily,
)
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import Exemplar, Sample

from otel_obs.cells.layout import Scope
from otel_obs.exposition import OPENMETRICS, PROTOBUF, TEXT, Format, Options
from tests.exposition.build import counter, gauge, rendered
from tests.exposition.schema import decode
from tests.support.programs import run


class Fixed:
    """A collector that yields what it was given."""

    def __init__(self, *metrics: Metric) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self.metrics


def every_type() -> CollectorRegistry:
    registry = CollectorRegistry()
    requests = Counter("requests", 'Requests "so far"\\\n', ["method", "path"], registry=registry)
    requests.labels("GET", 'a"b\\c\nd').inc(1234567)
    requests.labels("POST", "ü").inc(2, {"trace_id": "ab"})
    Gauge("temperature", "Now", unit="celsius", registry=registry).set(-3.5)
    Gauge("unset", "Nothing", ["a"], registry=registry)
    Histogram("latency", "Times", ["x"], buckets=(0.1, 1), registry=registry).labels("1").observe(
        0.5, {"trace_id": "cd"}
    )
    Summary("size", "Sizes", registry=registry).observe(7)
    Info("build", "Build", registry=registry).info({"version": "1.0", "commit": "abc"})
    Enum("state", "State", states=["up", "down"], registry=registry).state("down")
    unknown = UnknownMetricFamily("odd", "Unknown", labels=["a"])
    unknown.add_metric(["1"], 5, timestamp=1700000000.25)
    quantiles = Metric("q", "Quantiles", "summary")
    for quantile in ("0.5", "0.99"):
        quantiles.add_sample("q", {"quantile": quantile, "a": "b"}, float(quantile))
    quantiles.add_sample("q_count", {"a": "b"}, 3)
    quantiles.add_sample("q_sum", {"a": "b"}, 4.5)
    registry.register(
        Fixed(
            unknown,
            quantiles,
            SummaryMetricFamily("s", "Plain", count_value=2, sum_value=3),
            HistogramMetricFamily("hist", "Buckets", buckets=[("1.0", 1), ("+Inf", 2)], sum_value=3),
            GaugeHistogramMetricFamily(
                "gh", "Gauge buckets", buckets=[("1.0", 1), ("+Inf", 2)], gsum_value=3
            ),
        )
    )
    return registry


def test_text_is_what_prometheus_client_writes() -> None:
    registry = every_type()
    assert rendered([], others=registry.collect()).decode() == generate_latest(registry).decode()


def test_openmetrics_is_what_prometheus_client_writes() -> None:
    registry = every_type()
    assert (
        rendered([], OPENMETRICS, others=registry.collect()).decode()
        == generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    )


def test_protobuf_has_every_type() -> None:
    families = {
        family.name: family for family in decode(rendered([], PROTOBUF, others=every_type().collect()))
    }
    assert {name: family.type for name, family in families.items()} == {
        "requests_total": 0,
        "temperature_celsius": 1,
        "latency": 4,
        "size": 2,
        "build_info": 1,
        "state": 1,
        "odd": 3,
        "q": 2,
        "s": 2,
        "hist": 4,
        "gh": 5,
    }
    assert families["temperature_celsius"].unit == "celsius"
    post = families["requests_total"].metric[1]
    assert [(label.name, label.value) for label in post.label] == [("method", "POST"), ("path", "ü")]
    assert (post.counter.value, post.counter.exemplar.label[0].value) == (2, "ab")
    assert post.counter.created_timestamp.seconds > 1700000000
    assert text_format.MessageToString(families["q"].metric[0]) == (
        'label {\n  name: "a"\n  value: "b"\n}\n'
        "summary {\n  sample_count: 3\n  sample_sum: 4.5\n"
        "  quantile {\n    quantile: 0.5\n    value: 0.5\n  }\n"
        "  quantile {\n    quantile: 0.99\n    value: 0.99\n  }\n}\n"
    )
    assert text_format.MessageToString(families["odd"].metric[0]) == (
        'label {\n  name: "a"\n  value: "1"\n}\nuntyped {\n  value: 5.0\n}\ntimestamp_ms: 1700000000250\n'
    )
    assert text_format.MessageToString(families["gh"].metric[0]) == (
        "histogram {\n  sample_count: 2\n  sample_sum: 3.0\n"
        "  bucket {\n    cumulative_count: 1\n    upper_bound: 1.0\n  }\n"
        "  bucket {\n    cumulative_count: 2\n    upper_bound: inf\n  }\n}\n"
    )
    latency = families["latency"].metric[0].histogram
    assert (latency.sample_count, latency.sample_sum) == (1, 0.5)
    assert [bucket.cumulative_count for bucket in latency.bucket] == [0, 1, 1]
    assert latency.bucket[1].exemplar.label[0].value == "cd"
    assert [label.value for label in families["state"].metric[1].label] == ["down"]


def test_ours_win_a_name_and_say_so_once(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    Counter("jobs", "Theirs", registry=registry).inc(100)
    Gauge("theirs", "", registry=registry).set(1)
    for format in (TEXT, OPENMETRICS, PROTOBUF):
        body = rendered(counter("jobs", [({}, 1.0)], description="Ours"), format, others=registry.collect())
        assert b"Ours" in body
        assert b"Theirs" not in body
        assert b"theirs" in body
    (message,) = caplog.messages
    assert message == (
        "the counter 'jobs_total' of prometheus_client is not exposed: another metric has the name "
        "'jobs_total'; rename one"
    )


def test_a_yielding_scope_gives_way_to_prometheus_client(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    Counter("http_requests", "Theirs", ["verb"], registry=registry).labels("GET").inc(7)
    ours = counter("http_requests", [({"method": "GET"}, 5.0)], scope=Scope("otel_obs"))
    options = Options(yielding_scopes=frozenset({"otel_obs"}))
    body = rendered([ours, gauge("g", [({}, 1.0)])], options=options, others=registry.collect()).decode()
    assert body.splitlines()[:6] == [
        "# HELP g ",
        "# TYPE g gauge",
        "g 1.0",
        "# HELP http_requests_total Theirs",
        "# TYPE http_requests_total counter",
        'http_requests_total{verb="GET"} 7.0',
    ]
    assert len(caplog.messages) == 1


def test_a_collector_that_raises_does_not_end_the_scrape(caplog: pytest.LogCaptureFixture) -> None:
    def collect() -> Iterator[Metric]:
        yield GaugeMetricFamily("first", "", value=1)
        raise OSError("gone")

    assert rendered(gauge("ours", [({}, 1.0)]), others=collect()).decode() == (
        "# HELP ours \n# TYPE ours gauge\nours 1.0\n# HELP first \n# TYPE first gauge\nfirst 1.0\n"
    )
    (message,) = caplog.messages
    assert message == (
        "a collector of prometheus_client raised OSError('gone'); "
        "the metrics that come after it are not exposed"
    )


@pytest.mark.parametrize("format", [TEXT, OPENMETRICS, PROTOBUF], ids=["text", "openmetrics", "protobuf"])
def test_samples_of_other_names_are_families_of_their_own(format: Format) -> None:
    metric = Metric("jobs", "Jobs", "gauge")
    for number, name in enumerate(("jobs", "jobs_waiting", "lost_jobs")):
        metric.add_sample(name, {"queue": "a"}, number)
    if format is PROTOBUF:
        families = decode(rendered([], format, others=[metric]))
        found = {
            family.name: (family.metric[0].gauge.value, family.metric[0].untyped.value) for family in families
        }
        assert found == {"jobs": (0.0, 0.0), "jobs_waiting": (0.0, 1.0), "lost_jobs": (0.0, 2.0)}
        return
    unknown = "untyped" if format is TEXT else "unknown"
    assert rendered([], format, others=[metric]).decode().removesuffix("# EOF\n") == (
        '# HELP jobs Jobs\n# TYPE jobs gauge\njobs{queue="a"} 0.0\n'
        f'# HELP jobs_waiting Jobs\n# TYPE jobs_waiting {unknown}\njobs_waiting{{queue="a"}} 1.0\n'
        f'# HELP lost_jobs Jobs\n# TYPE lost_jobs {unknown}\nlost_jobs{{queue="a"}} 2.0\n'
    )


def test_a_metric_that_cannot_be_read_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    odd = Metric("odd", "", "gauge")
    odd.add_sample("odd", {}, "many")  # type: ignore[arg-type,unused-ignore]
    text = rendered([], others=[odd, GaugeMetricFamily("after", "", value=1)]).decode()
    assert text == "# HELP after \n# TYPE after gauge\nafter 1.0\n"
    assert caplog.messages == [
        "a sample of 'odd' of prometheus_client is not exposed: could not convert string to float: 'many'"
    ]


def test_families_that_come_twice_are_one(caplog: pytest.LogCaptureFixture) -> None:
    def family(labels: dict[str, str], value: float, kind: Any = "gauge") -> Metric:
        metric = Metric("g", "Help", kind)
        metric.add_sample("g", labels, value)
        return metric

    others = [family({"a": "1"}, 1), family({"a": "2"}, 2), family({"a": "1"}, 3), family({}, 4, "unknown")]
    assert rendered([], others=others).decode() == (
        '# HELP g Help\n# TYPE g gauge\ng{a="1"} 1.0\ng{a="2"} 2.0\n'
    )
    assert caplog.messages == [
        "the unknown 'g' of prometheus_client is not exposed: 'g' is a gauge already; rename one"
    ]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        (TEXT, '# HELP a_b_total \n# TYPE a_b_total counter\na_b_total{c_d="1;2"} 1.0\n'),
        (
            Format("text", "1.0.0", "allow-utf-8"),
            '# HELP "a.b_total" \n# TYPE "a.b_total" counter\n{"a.b_total","c.d"="1",c_d="2"} 1.0\n',
        ),
    ],
)
def test_utf8_names_are_shown_to_who_asks_for_them(format: Format, expected: str) -> None:
    try:
        metric = CounterMetricFamily("a.b", "", labels=["c.d", "c_d"])
    except ValueError:
        pytest.skip("this prometheus_client refuses UTF-8 names")
    metric.add_metric(["1", "2"], 1)
    assert rendered([], format, others=[metric]).decode() == expected


def test_only_families_that_were_asked_for() -> None:
    registry = every_type()
    body = rendered(gauge("g", [({}, 1.0)]), others=registry.collect(), names=["state", "size_sum", "g"])
    assert [line for line in body.decode().splitlines() if line.startswith("# TYPE")] == [
        "# TYPE g gauge",
        "# TYPE size summary",
        "# TYPE size_created gauge",
        "# TYPE state gauge",
    ]


@pytest.mark.parametrize(
    ("runtime_metrics", "imported"), [("true", False), ("false", True)], ids=["merged by us", "only its own"]
)
def test_a_service_that_does_not_use_it_need_not_import_it_for_a_scrape(
    runtime_metrics: str, imported: bool
) -> None:
    program = """
    import json, sys
    import otel_obs
    otel_obs.configure()
    text = otel_obs.get_metrics()[0].decode()
    types = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    print(json.dumps("prometheus_client" in sys.modules))
    wanted = {"process_cpu_seconds_total", "python_info", "python_gc_collections_total"}
    print(json.dumps(sorted(types & wanted)))
    """
    done = run(program, env={"OTEL_OBS_RUNTIME_METRICS": runtime_metrics})
    assert done.results == [
        imported,
        ["process_cpu_seconds_total", "python_gc_collections_total", "python_info"],
    ]


def test_a_collector_that_raises_takes_no_other_with_it() -> None:
    program = """
    import json
    import otel_obs
    from prometheus_client import REGISTRY, Counter, Gauge
    from prometheus_client.core import GaugeMetricFamily
    otel_obs.configure()

    class Broken:
        def describe(self):
            return []
        def collect(self):
            yield GaugeMetricFamily("before_it_broke", "help", value=1)
            raise RuntimeError("the queue is gone")

    REGISTRY.register(Broken())
    Counter("sold", "help").inc(3)
    for _ in range(2):
        text = otel_obs.get_metrics()[0].decode()
    print(json.dumps([line for line in text.splitlines() if line.startswith(("before", "sold_total"))]))
    """
    done = run(program)
    assert done.results == [["sold_total 3.0", "before_it_broke 1.0"]]
    (said,) = [line for line in done.log.splitlines() if "raised" in line]
    assert "Broken object at 0x" in said
    assert said.endswith(
        "of prometheus_client raised RuntimeError('the queue is gone'); "
        "what it had not yielded is not exposed"
    )


class _Spoken(str):
    """A string that says something else of itself."""

    def __str__(self) -> str:
        return "something else"


class _Mute:
    def __str__(self) -> str:
        raise RuntimeError("it says nothing")


def _odd_metrics() -> dict[str, Any]:
    """Metrics as no constructor of prometheus_client makes them: code changes their attributes later."""

    def metric(name: Any = "odd", **changed: Any) -> Metric:
        made = Metric("odd", "Odd", "gauge")
        made.add_sample("odd", {"a": "b"}, 1)
        for attribute, value in {"name": name, **changed}.items():
            setattr(made, attribute, value)
        return made

    def sample(*fields: Any, kind: str = "gauge") -> Metric:
        return metric(type=kind, samples=[Sample("odd", {"a": "c"}, 2), Sample(*fields)])

    return {
        "no metric": None,
        "a number": 5,
        "a number as its name": metric(5),
        "no name": metric(None),
        "no type": metric(type=None),
        "an unknown type": metric(type="nonsense"),
        "a type of the text format": metric(type="untyped"),
        "a number as its help": metric(documentation=5),
        "a number as its unit": metric(unit=5),
        "no samples": metric(samples=None),
        "a help that says something else": metric(documentation=_Spoken("Odd")),
        "a value beyond floats": sample("odd", {}, 10**400),
        "no value": sample("odd", {}, None),
        "a complex value": sample("odd", {}, complex(1, 2)),
        "a label that fails": sample("odd", {"a": _Mute()}, 1),
        "a number as a label's name": sample("odd", {5: "a"}, 1),
        "no time": sample("odd", {}, 1, float("nan")),
        "an infinite time": sample("odd", {}, 1, float("inf")),
        "a time beyond 64 bits": sample("odd", {}, 1, 1e18),
        "the same once more": sample("odd", {"a": "c"}, 3),
        "an exemplar that is none": sample("odd_total", {}, 1, None, "exemplar", kind="counter"),
        "an exemplar of no time": sample(
            "odd_total", {}, 1, None, Exemplar({}, 1, float("inf")), kind="counter"
        ),
        "an empty name": metric("", type="counter"),
        "the same millisecond": metric(samples=[Sample("odd", {}, 1, 5.0), Sample("odd", {}, 2, 5.0000001)]),
        "an exemplar of a sum": metric(
            type="histogram",
            samples=[
                Sample("odd_bucket", {"le": "+Inf"}, 1, None, None),
                Sample("odd_sum", {}, 1, None, Exemplar({"a": "b"}, 1)),
            ],
        ),
        "a sum that is no number": metric(
            type="gaugehistogram",
            samples=[Sample("odd_bucket", {"le": "-1"}, 1), Sample("odd_gsum", {}, float("nan"))],
        ),
    }


@pytest.mark.parametrize("odd", _odd_metrics())
@pytest.mark.parametrize("way", [TEXT, OPENMETRICS, PROTOBUF], ids=["text", "openmetrics", "protobuf"])
def test_whatever_is_odd_about_a_metric_costs_no_other(odd: str, way: Format) -> None:
    good = GaugeMetricFamily("good", "Good", value=42)
    metrics = cast("list[Metric]", [_odd_metrics()[odd], good])
    page = rendered([], way, others=metrics)
    if way is PROTOBUF:
        assert "good" in {family.name for family in decode(page)}
        return
    parse = parse_openmetrics if way is OPENMETRICS else parse_text
    families = list(parse(page.decode()))
    assert [family.samples[0].value for family in families if family.name == "good"] == [42]
    every = [(one.name, *sorted(one.labels.items())) for family in families for one in family.samples]
    assert len(set(every)) == len(every)


def test_a_string_that_says_something_else_is_taken_for_what_it_is() -> None:
    metric = Metric("odd", "Odd", "gauge")
    metric.samples = [Sample("odd", {"a": _Spoken("what it is")}, 1)]
    assert b'odd{a="what it is"} 1.0' in rendered([], TEXT, others=[metric])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("1", "1"),
        ("0.5", "0.5"),
        ("+Inf", "+Inf"),
        ("inf", "inf"),
        ("1e-3", "1e-3"),
        ("1_0", "10.0"),
        (" 1", "1.0"),
        ("\u0663", "3.0"),
        ("1e400", "+Inf"),
        ("many", None),
        ("\0", None),
        ("0x", None),
    ],
)
@pytest.mark.parametrize("family_type", ["histogram", "summary"])
def test_a_bound_that_a_reader_in_go_cannot_read_costs_its_sample_alone(
    family_type: str, given: str, shown: str | None
) -> None:
    label, suffix = ("le", "_bucket") if family_type == "histogram" else ("quantile", "")
    metric = Metric("odd", "Odd", family_type)
    metric.add_sample(f"odd{suffix}", {label: given, "a": "b"}, 1)
    metric.add_sample("odd_count", {"a": "b"}, 1)
    lines = rendered([], TEXT, others=[metric]).decode().splitlines()
    expected = [f'odd{suffix}{{a="b",{label}="{shown}"}} 1.0'] if shown is not None else []
    assert lines[2:] == [*expected, 'odd_count{a="b"} 1.0']


def test_a_sum_beside_a_histogram_of_gauges_is_no_family_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    metric = Metric("odd", "Odd", "gaugehistogram")
    for name, labels in (
        ("odd_bucket", {"le": "+Inf"}),
        ("odd_gcount", {}),
        ("odd_sum", {}),
        ("odd_count", {}),
    ):
        metric.add_sample(name, labels, 1)
    text = rendered([], TEXT, others=[metric]).decode()
    assert [line.split()[2:] for line in text.splitlines() if line.startswith("# TYPE")] == [
        ["odd", "histogram"],
        ["odd_gcount", "gauge"],
    ]
    assert len(caplog.messages) == 2
