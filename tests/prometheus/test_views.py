"""Views of OpenTelemetry on metrics of `prometheus_client`."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.programs import run
from tests.support.samples import parse_samples

AGGREGATIONS = {
    "exponential": "ExponentialBucketHistogramAggregation()",
    "fewer buckets": "ExplicitBucketHistogramAggregation([5])",
    "one bucket": "ExplicitBucketHistogramAggregation([])",
    "more buckets": "ExplicitBucketHistogramAggregation([1, 2, 3, 4, 5, 6, 7, 8, 9])",
    "a sum": "SumAggregation()",
    "the last value": "LastValueAggregation()",
    "none": "DropAggregation()",
}
RECORDED = (("first", 1.5), ("second", 3.0), ("first", 4.5))
METRICS = """
import sys
import otel_obs
import prometheus_client
from opentelemetry.sdk.metrics.view import *
waits = prometheus_client.Histogram("m_waits", "Help", ["a"], buckets=(1, 2, 4, 8))
sizes = prometheus_client.Summary("m_sizes", "Help", ["a"])
orders = prometheus_client.Counter("m_orders", "Help", ["a"])
level = prometheus_client.Gauge("m_level", "Help", ["a"])
bare = prometheus_client.Histogram("m_bare", "Help")
info = prometheus_client.Info("m_info", "Help")
state = prometheus_client.Enum("m_state", "Help", states=["on", "off"])
guard = prometheus_client.Histogram("guard", "Help", ["a"], buckets=(1, 2))
"""
USED = f"""
for label, value in {RECORDED}:
    waits.labels(label).observe(value)
    sizes.labels(label).observe(value)
    orders.labels(label).inc(value)
    level.labels(label).set(value)
    guard.labels(label).observe(value)
info.info({{"a": "b"}})
state.state("off")
"""
TOUCHED = """
# What other code reads and writes of a series, as instrumentators do.
for series in (waits.labels("first"), sizes.labels("first")):
    series._sum.inc(100.0)
    series._sum.get()
waits.labels("first")._buckets[-1].inc(100.0)
sizes.labels("first")._count.inc(100.0)
for number in range(3):
    waits.remove("first"), sizes.remove("first")
    waits.labels("first").observe(1.5), sizes.labels("first").observe(1.5)
"""


def configured(aggregation: str) -> str:
    view = f'View(instrument_name="m_*", aggregation={AGGREGATIONS[aggregation]})'
    return f"otel_obs.configure(views=[{view}], runtime_metrics=False)\nimport otel_obs.prometheus\n"


def page_of(code: str, compiled: str = "on") -> str:
    done = run(
        f"{METRICS}{code}\nprint(otel_obs.get_metrics()[0].decode())", env={"OTEL_OBS_COMPILED": compiled}
    )
    page = "\n".join(done.lines)
    list(text_string_to_metric_families(page))
    samples = parse_samples(page)
    assert [samples.value("guard_bucket", a="first", le=le) for le in ("1.0", "2.0", "+Inf")] == [
        0.0,
        1.0,
        2.0,
    ]
    assert samples.value("guard_sum", a="first") == 6.0
    assert samples.value("guard_sum", a="second") == 3.0
    return page


@pytest.mark.parametrize("compiled", ["on", "off"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_what_is_recorded_is_aggregated_as_a_view_says(aggregation: str, compiled: str) -> None:
    samples = parse_samples(page_of(configured(aggregation) + USED, compiled))
    for name in ("m_waits", "m_sizes"):
        if "bucket" in aggregation or aggregation == "exponential":
            counted = [samples.value(f"{name}_{what}", a="first") for what in ("count", "sum")]
            assert counted == [2.0, 6.0], name
        elif aggregation != "none":
            assert samples.value(name, a="first") == {"a sum": 6.0, "the last value": 4.5}[aggregation], name
        else:
            assert not [key for key in samples if key[0].startswith(name)]
    if aggregation == "fewer buckets":
        assert samples.value("m_waits_bucket", a="first", le="5.0") == 2.0
    if aggregation == "more buckets":
        found = [samples.value("m_waits_bucket", a="first", le=f"{le}.0") for le in range(1, 10)]
        assert found == [0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize("compiled", ["on", "off"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_other_code_changes_no_cells_of_other_series(aggregation: str, compiled: str) -> None:
    samples = parse_samples(page_of(configured(aggregation) + USED + TOUCHED, compiled))
    if aggregation != "none":
        name = {"a sum": "m_sizes", "the last value": "m_sizes"}.get(aggregation, "m_sizes_sum")
        assert samples.value(name, a="second") == 3.0


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_what_was_counted_before_a_view_changes_it_is_not_left_out_in_silence(aggregation: str) -> None:
    code = f"""
import json
import otel_obs
import prometheus_client
from opentelemetry.sdk.metrics.view import *
waits = prometheus_client.Histogram("m_waits", "Help", ["a"], buckets=(1, 2))
guard = prometheus_client.Histogram("guard", "Help", ["a"], buckets=(1, 2))
for value in (0.5, 1.5, 3.0):
    waits.labels("x").observe(value)
    guard.labels("x").observe(value)
{configured(aggregation)}
waits.labels("x").observe(4.0)
page = otel_obs.get_metrics()[0].decode()
beginnings = "m_waits_sum", "m_waits{{", "guard_sum", "guard_count"
print(json.dumps([line for line in page.splitlines() if line.startswith(beginnings)]))
"""
    done = run(code)
    name = {"a sum": "m_waits", "the last value": "m_waits"}.get(aggregation, "m_waits_sum")
    shown = [] if aggregation == "none" else [f'{name}{{a="x"}} 4.0']
    assert sorted(done.results[0]) == ['guard_count{a="x"} 3.0', 'guard_sum{a="x"} 5.0', *shown]
    said = "a view gives 'm_waits' another aggregation, to which what it had counted before"
    assert done.log.count(said) == (aggregation != "none")


OWN_SAMPLES = """
from prometheus_client.samples import Sample
class Waits(prometheus_client.Histogram):
    def _child_samples(self):
        return (*super()._child_samples(), Sample("_twice", {}, 2 * self._sum.get(), None, None))
class Sizes(prometheus_client.Summary):
    def _child_samples(self):
        return (Sample("_mean", {}, self._sum.get() / self._count.get(), None, None),)
waits, sizes = Waits("m_own_waits", "Help", ["a"], buckets=(1, 2, 4)), Sizes("m_own_sizes", "Help", ["a"])
"""


@pytest.mark.parametrize("aggregation", [*AGGREGATIONS, ""])
def test_a_class_makes_its_own_samples_only_of_the_numbers_that_it_has_declared(aggregation: str) -> None:
    view = configured(aggregation) if aggregation else "import otel_obs.prometheus\notel_obs.configure()\n"
    samples = parse_samples(page_of(view + OWN_SAMPLES + USED))
    names = {name for name, _ in samples if name.startswith("m_own_")}
    assert ("m_own_waits_twice" in names) == (not aggregation)
    # One bucket is what a summary has.
    assert ("m_own_sizes_mean" in names) == (aggregation in ("", "one bucket"))
    if aggregation in ("", "one bucket"):
        assert samples.value("m_own_sizes_mean", a="first") == 3.0
    if not aggregation:
        assert samples.value("m_own_waits_twice", a="first") == 12.0
    elif "bucket" in aggregation or aggregation == "exponential":
        counted = [samples.value(f"m_own_waits_{what}", a="first") for what in ("count", "sum")]
        assert counted == [2.0, 6.0]


def test_a_class_whose_samples_raise_costs_its_own_family_alone() -> None:
    code = """
class Broken(prometheus_client.Counter):
    def _child_samples(self):
        raise ValueError("broken")
import otel_obs.prometheus
broken = Broken("m_broken", "Help")
broken.inc()
"""
    assert "m_broken_total" not in page_of(code + USED)


def test_a_view_may_make_an_exponential_histogram_of_a_histogram_of_the_client() -> None:
    code = """
import otel_obs
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from otel_obs.prometheus import Histogram
view = View(instrument_name="waits", aggregation=ExponentialBucketHistogramAggregation())
otel_obs.configure(views=[view], runtime_metrics=False)
waits = Histogram("waits", "Help", ["a"]).labels("x")
for value in (1.0, 3.0, float("inf"), float("nan"), -2.0):
    waits.observe(value)
page = otel_obs.get_metrics()[0].decode()
print(json.dumps([line for line in page.splitlines() if line.startswith(("waits_count", "waits_sum"))]))
"""
    assert run("import json\n" + code).results == [['waits_count{a="x"} 3.0', 'waits_sum{a="x"} 2.0']]
