"""The alerts of an objective are those that sloth makes of it, but for the noise in sloth's limits."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from otel_obs.ops.alerts.burn import burn_alerts
from otel_obs.ops.objectives import parse_objective
from tests.ops.promtools import found

SLOTH = found("go-program", "sloth")
THEIRS = re.compile(r"ratio_rate(\w+)\{[^}]*\} > \(([\d.]+) \* ([\d.e-]+)\)")
OURS = re.compile(r"ratio_rate(\w+)\{[^}]*\} > ([\d.]+)")
MAX_NOISE = 1e-9


class Pair(NamedTuple):
    """The windows of one condition, and the share of failures that both must be above."""

    severity: str
    short: str
    long: str
    limit: float


def spec(percent: str) -> str:
    """What sloth is told: the same objective over the same requests."""
    events = {
        "error_query": 'sum(rate(http_requests_total{status_code=~"5.."}[{{.window}}]))',
        "total_query": "sum(rate(http_requests_total[{{.window}}]))",
    }
    alerting = {
        "name": "Burn",
        "page_alert": {"labels": {"severity": "critical"}},
        "ticket_alert": {"labels": {"severity": "warning"}},
    }
    slo = {
        "name": "availability",
        "objective": float(percent),
        "sli": {"events": events},
        "alerting": alerting,
    }
    return yaml.safe_dump({"version": "prometheus/v1", "service": "service", "slos": [slo]})


def theirs(percent: str, directory: Path) -> set[Pair]:
    """The conditions of sloth's two alerts."""
    file = directory / "slo.yml"
    file.write_text(spec(percent))
    done = subprocess.run(
        [str(SLOTH), "generate", "-i", str(file)], capture_output=True, text=True, timeout=240, check=True
    )
    (made,) = [each for each in yaml.safe_load_all(done.stdout) if each]
    pairs = set()
    for group in made["groups"]:
        for rule in group["rules"]:
            found_here = [
                (window, float(factor) * float(budget))
                for window, factor, budget in THEIRS.findall(rule["expr"])
            ]
            for (short, limit), (long, again) in zip(found_here[::2], found_here[1::2], strict=True):
                assert limit == again
                pairs.add(Pair(rule["labels"]["severity"], short, long, limit))
    return pairs


def ours(percent: str) -> set[Pair]:
    """The conditions of ours, an alert each."""
    pairs = set()
    for alert in burn_alerts(parse_objective(f"availability={percent}")):
        (long, limit), (short, again) = OURS.findall(alert.expr)
        assert limit == again
        pairs.add(Pair(alert.severity, short, long, float(limit)))
    return pairs


@pytest.mark.skipif(SLOTH is None, reason="make operations builds sloth")
@pytest.mark.parametrize("percent", ["93.5", "95", "99", "99.5", "99.9", "99.95", "99.99", "99.999"])
def test_windows_and_limits_are_those_of_sloth(percent: str, tmp_path: Path) -> None:
    mine, sloth = sorted(ours(percent)), sorted(theirs(percent, tmp_path))

    assert [pair[:3] for pair in mine] == [pair[:3] for pair in sloth]
    assert [pair.limit for pair in mine] == pytest.approx([pair.limit for pair in sloth], rel=MAX_NOISE)
    # What is left of theirs is binary noise, and ours has none.
    assert all(
        len(str(each.limit)) <= len(str(of_sloth.limit)) for each, of_sloth in zip(mine, sloth, strict=True)
    )
