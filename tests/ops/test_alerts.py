"""Alerts fire when they should, say what they should, and are quiet otherwise, as promtool sees it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_obs.ops.alerting import ALERTS
from otel_obs.ops.alerts.alert import LANGUAGES, Alert
from tests.ops.promtools import promtools
from tests.ops.rule_tests import cases
from tests.ops.scenarios import SCENARIOS, Scenario

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
BY_NAME = {alert.name: alert for alert in ALERTS}
PLACES = {"en": DEPLOY / "local", "ko": DEPLOY / "korean"}


def minutes(duration: str) -> int:
    return int(duration.removesuffix("m") or 0)


def run_tests(
    promtool: str, directory: Path, rules: Path, tests: list[dict[str, Any]], *files: str, every: str = "1m"
) -> None:
    for file in files:
        shutil.copy(rules / file, directory)
    document = {
        "rule_files": [Path(file).name for file in files],
        "evaluation_interval": every,
        "tests": tests,
    }
    (directory / "tests.yml").write_text(json.dumps(document, ensure_ascii=False))  # JSON is YAML

    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=directory, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, ""), f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("promtool", promtools())
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.alert)
def test_an_alert_fires_waits_ends_and_is_quiet(scenario: Scenario, promtool: str, tmp_path: Path) -> None:
    alert = BY_NAME[scenario.alert]
    tests = list(cases(scenario, "en", alert.dashboard, minutes(alert.pending)))

    run_tests(promtool, tmp_path, PLACES["en"], tests, f"alerts/{alert.group}.yml")


@pytest.mark.parametrize("promtool", promtools())
@pytest.mark.parametrize("group", sorted({alert.group for alert in ALERTS}))
def test_alerts_speak_korean(group: str, promtool: str, tmp_path: Path) -> None:
    scenarios = [each for each in SCENARIOS if BY_NAME[each.alert].group == group]
    tests = [next(cases(each, "ko", BY_NAME[each.alert].dashboard, 1)) for each in scenarios]

    run_tests(promtool, tmp_path, PLACES["ko"], tests, f"alerts/{group}.yml")


def test_a_case_that_expects_the_wrong_text_fails(tmp_path: Path) -> None:
    wrong = SCENARIOS[0]._replace(en=("Requests fail.", "10%"))

    with pytest.raises(AssertionError, match="FAILED"):
        run_tests(
            "promtool",
            tmp_path,
            PLACES["en"],
            list(cases(wrong, "en", "overview", 5)),
            "alerts/api_alerts.yml",
        )


def test_every_alert_has_a_scenario() -> None:
    assert {scenario.alert for scenario in SCENARIOS} == set(BY_NAME) - {"Watchdog"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_texts_follow_the_conventions(alert: Alert) -> None:
    assert set(alert.wording) == set(LANGUAGES)
    for summary, description in alert.wording.values():
        assert "<" not in summary, "a summary is the same for all instances"
        assert "{{" not in summary
        assert not re.search(r"\$value\b(?! *\|)", description), "a value is humanised"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.alert)
def test_a_text_names_no_label_that_the_query_aggregates_away(scenario: Scenario) -> None:
    alert = BY_NAME[scenario.alert]
    kept = set(scenario.labels) | {"value", "limit", "for"}

    for _, description in alert.wording.values():
        named = set(re.findall(r"<(\w+)>", description)) | set(re.findall(r"\$labels\.(\w+)", description))
        assert named <= kept


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    names = {*BY_NAME, "SLOBudgetBurnFast", "SLOBudgetBurnSlow"}

    assert {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} == {*names, "index"}
