"""Every expression of the teams' dashboards and alerts, asked of a real Prometheus while the systems run."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.examples.expressions import BY_LABEL, ONE_VALUE
from tests.support.prometheus import PrometheusServer
from tests.support.traffic import Systems, drive, running_systems, wait_for_scrapes
from tests.support.waiting import until

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systems]:
    with running_systems(tmp_path_factory.mktemp("systems")) as systems:
        # A counter's increase is known from its second sample on: the first round makes the series.
        for _ in range(2):
            drive(systems)
            wait_for_scrapes(systems)
        yield systems


@pytest.mark.parametrize("asked", ONE_VALUE)
def test_an_expression_of_one_value_gives_a_sensible_number(systems: Systems, asked: str) -> None:
    expression, (low, high) = ONE_VALUE[asked]

    value = until_known(systems.prometheus, expression)

    assert low <= value <= high, f"{expression} is {value}"


def until_known(prometheus: PrometheusServer, expression: str) -> float:
    """The value of an expression, once there are the samples that it needs."""

    def ask() -> list[float]:
        value = prometheus.value(expression)
        return [] if value is None or math.isnan(value) else [value]

    return until(ask, expression)[0]


@pytest.mark.parametrize("asked", BY_LABEL)
def test_an_expression_by_label_gives_a_number_for_each(systems: Systems, asked: str) -> None:
    expression, label, expected = BY_LABEL[asked]

    def ask() -> dict[str, float]:
        found = {labels[label]: value for labels, value in systems.prometheus.query(expression)}
        assert expected <= {name for name, value in found.items() if not math.isnan(value)}, found
        return found

    found = until(ask, expression)

    assert all(0 <= value < math.inf for value in found.values()), found
    assert any(value > 0 for value in found.values()), found


def test_the_shares_of_the_providers_are_a_hundred_percent(systems: Systems) -> None:
    expression, _, _ = BY_LABEL["distribution of providers"]

    assert sum(value for _, value in systems.prometheus.query(expression)) == pytest.approx(100)


def test_increases_are_what_was_sent(systems: Systems) -> None:
    for expression, sent in (
        ('increase(predictions_total{status="error"}[1h])', 1),
        ("sum(increase(predictions_total[1h]))", 19),
        ('sum(increase(http_requests_total{job="classifier"}[1h]))', 20),
        ("sum(increase(dialogue_sessions_total[1h]))", 8),
        ("sum(increase(detection_total[1h]))", 24),
    ):
        increase = systems.prometheus.value(expression)
        assert increase is not None
        assert 0.99 * sent <= increase <= 1.7 * sent, f"{expression} is {increase}"


@pytest.mark.parametrize(
    "alert",
    ["model_state != 1", "cache_hit_rate < 0.01", "up == 0", "sparklio_workflows_active > 10"],
)
def test_no_alert_is_raised_while_all_is_well(systems: Systems, alert: str) -> None:
    assert systems.prometheus.query(alert) == []
