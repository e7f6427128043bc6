"""Dashboards follow the rules of good ones, and every query of every panel has data under traffic."""

from __future__ import annotations

import json
import math
import os
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("grafana_foundation_sdk", reason="Grafana's builder starts with Python 3.11")

from otel_obs.catalog import GROUPS
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import MissingPackageError, OperationsError
from otel_obs.ops import dashboards
from otel_obs.ops.bundle import Wish, grafana_files, prometheus_files
from otel_obs.ops.dashboards import BOARDS, COLUMNS, DEMO, PLAIN, PRODUCTION, dashboard
from otel_obs.ops.objectives import parse_objective
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.service_facts import OPTIONAL, MonitoredService
from otel_obs.settings import Settings
from tests.support import systems as examples
from tests.support.prometheus import BINARY, PrometheusServer
from tests.support.traffic import Systems, drive, running_systems
from tests.support.waiting import until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
FILES = sorted(DEPLOY.rglob("dashboards/*.json"))
ALL_BOARDS = (*BOARDS, PLAIN, DEMO, PRODUCTION)
EVERYTHING = MonitoredService.of_groups("service", (*GROUPS, *OPTIONAL))


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in board["panels"] if panel["type"] != "row")


def expressions(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((panel["title"], target["expr"]) for panel in panels(board) for target in panel["targets"])


def assert_whole(board: Mapping[str, Any]) -> None:
    """Every cell from the first line to the last belongs to one panel."""
    cells: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert 0 <= x < COLUMNS, f"{panel['title']} reaches beyond the edge"
                assert (x, y) not in cells, f"{panel['title']} is over {cells[x, y]}"
                cells[x, y] = panel["title"]
    lines = 1 + max(y for _, y in cells)
    assert len(cells) == lines * COLUMNS, "there is a hole"


@given(
    groups=st.sets(st.sampled_from([*GROUPS, *OPTIONAL])),
    board=st.sampled_from(ALL_BOARDS),
    language=st.sampled_from(["en", "ko"]),
    naming=st.sampled_from([Naming(), Naming(profile="semconv"), Naming(namespace="shop")]),
    has_objectives=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_service_has_there_are_no_holes_and_no_panel_without_its_families(
    groups: set[str], board: Any, language: str, naming: Naming, has_objectives: bool
) -> None:
    service = MonitoredService.of_groups("shop", groups, naming)

    made = dashboard(board, service, language, has_objectives)

    if made:
        assert_whole(made)
        assert has_objectives or "job:slo_" not in json.dumps(made)
        assert all(panel["targets"] for panel in panels(made))


def test_ids_are_stable_and_unique() -> None:
    few = dashboard(BOARDS[0], MonitoredService.of_groups("service", []))
    many = dashboard(BOARDS[0], EVERYTHING)
    ids = [panel["id"] for panel in many["panels"]]

    assert len(set(ids)) == len(ids)
    assert {panel["title"]: panel["id"] for panel in panels(few)}.items() <= {
        panel["title"]: panel["id"] for panel in panels(many)
    }.items()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_a_dashboard_follows_the_rules(file: Path) -> None:
    board = json.loads(file.read_text())

    assert_whole(board)
    assert not board["editable"]
    assert board["uid"]
    assert len(board["uid"]) <= 40
    source, job, instance = board["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("datasource", "datasource", "prometheus")
    for variable in (job, instance):
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["refresh"] == 2, "variables follow the time range"
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    for title, expression in expressions(board):
        assert re.search(r'job=~"\$job', expression), title
        if "job:slo_" not in expression and "ALERTS" not in expression:
            assert 'instance=~"$instance"' in expression, title
        for function, window in re.findall(r"(\w+)\([^()]*\[([^\]]+)\]", expression):
            is_fixed = (function, window) == ("increase", "15m")  # as its alert has it
            assert is_fixed or window in ("$__rate_interval", "$__range"), f"{title}: {expression}"
        assert not re.search(r"rate\(\s*(sum|avg|max|min)", expression), "aggregate after the rate"


def test_the_files_that_a_team_knows_by_name_are_there() -> None:
    directory = DEPLOY / "examples" / "reviewlens" / "grafana"

    assert {"reviewlens_dashboard.json", "reviewlens-demo-kr.json", "reviewlens-production-kr-v2.json"} <= {
        file.name for file in (directory / "dashboards").iterdir()
    }
    titles = [
        panel["title"]
        for panel in panels(json.loads((directory / "dashboards" / "reviewlens-demo-kr.json").read_text()))
    ]
    assert "사용자 여정" in titles
    provider = (directory / "provisioning" / "dashboards" / "dashboards.yml").read_text()
    for line in (
        "name: ReviewLens Dashboards",
        "orgId: 1",
        "updateIntervalSeconds: 10",
        "allowUiUpdates: true",
        "path: /var/lib/grafana/dashboards",
        "foldersFromFilesStructure: false",
    ):
        assert line in provider
    source = (directory / "provisioning" / "datasources" / "prometheus.yml").read_text()
    for line in (
        "name: Prometheus",
        "access: proxy",
        "url: http://prometheus:9090",
        "isDefault: true",
        "editable: true",
    ):
        assert line in source


# What every example's page shows decides what is on its dashboards, so no list is written by hand here.
NAMES = {
    "classifier": "aiclassifier",
    "reviewlens": "reviewlens",
    "sparklio": "sparklio",
    "detector": "detector",
}
SCENE_S = float(os.environ.get("SCENE_S", "0"))
"""For how long there is traffic before panels are asked; pictures want more than a moment."""


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Systems, dict[str, list[dict[str, Any]]]]]:
    directory = tmp_path_factory.mktemp("scene")
    written: dict[str, list[dict[str, Any]]] = {}
    prepared: dict[str, str] = {}

    def serve(addresses: Mapping[str, str]) -> PrometheusServer:
        prepared.update(addresses)
        (directory / "prometheus").mkdir()
        return PrometheusServer(
            BINARY or "prometheus",
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            "--log.level=warn",
            cwd=_configured(directory / "prometheus"),
            log_file=directory / "prometheus.log",
            ready_path="/-/ready",
        )

    with running_systems(directory, serve) as running:
        drive(running)  # before the pages are read: a service without requests shows none
        for job, address in prepared.items():
            written |= _write(directory, job, address, getattr(running, job).get("/metrics").text)
        _configure(directory, prepared)
        request = running.prometheus
        assert request.post("/-/reload", {}).status == 200
        until(lambda: all(request.target_health(job)[0] == "up" for job in prepared), "targets are up", 150)
        # A share of nothing is not a number: there is traffic as long as panels are asked.
        with traffic(running):
            time.sleep(SCENE_S)
            yield running, written


@contextmanager
def traffic(running: Systems) -> Iterator[None]:
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.5):
            drive(running)
            for _ in range(5):  # pictures that no cache knows
                picture = [[random.randrange(17) for _ in range(8)] for _ in range(8)]
                running.classifier.post("/predict", {"image": picture})

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(go_on)
        try:
            yield
        finally:
            over.set()
        done.result()


def _configured(directory: Path) -> Path:
    (directory / "prometheus.yml").write_text("global: {}\n")
    return directory


def _write(directory: Path, job: str, address: str, page: str) -> dict[str, list[dict[str, Any]]]:
    """Rules on the disk, and the dashboards of a service, in English and in Korean."""
    naming = Naming.from_settings(Settings.from_env(examples.settings(NAMES[job])))
    service = MonitoredService.of_page(job, page, naming)
    wish = Wish(
        service,
        (ScrapeJob(job, (address,)),),
        objectives=(parse_objective("availability=99.9"), parse_objective("latency=95%<500ms")),
    )
    for path, text in prometheus_files(wish).items():
        if path != "prometheus.yml":
            target = directory / "prometheus" / path.replace("/", f"/{job}-")
            target.parent.mkdir(exist_ok=True)
            target.write_text(re.sub("for: .*", "for: 1s", text))
    boards, korean = (
        [json.loads(text) for path, text in grafana_files(each).items() if path.endswith(".json")]
        for each in (wish, replace(wish, language="ko"))
    )
    for board in korean:
        board["uid"] += "-ko"
    if job == "reviewlens":
        for board, uid in ((PLAIN, "plain"), (DEMO, "demo-kr"), (PRODUCTION, "production-kr")):
            boards.append(
                dashboard(board, service, "en" if board is PLAIN else "ko", True, f"reviewlens-{uid}")
            )
    return {job: boards, f"{job}-ko": korean}


def _configure(directory: Path, addresses: Mapping[str, str]) -> None:
    config = {
        "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
        "rule_files": ["rules/*.yml", "alerts/*.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in addresses.items()
        ],
    }
    (directory / "prometheus" / "prometheus.yml").write_text(json.dumps(config))


def asked(expression: str, job: str) -> str:
    """An expression as Grafana sends it for one job."""
    for name, value in (("$__rate_interval", "1m"), ("$__range", "5m"), ("$job", job), ("$instance", ".+")):
        expression = expression.replace(name, value)
    return expression


@pytest.mark.prometheus
@pytest.mark.timeout(600)
@pytest.mark.parametrize("job", NAMES)
def test_every_query_of_every_panel_has_data(
    scene: tuple[Systems, dict[str, list[dict[str, Any]]]], job: str
) -> None:
    systems, boards = scene
    expected = {"classifier": 5, "reviewlens": 9, "sparklio": 6, "detector": 6}
    assert len(boards[job]) >= expected[job], [board["title"] for board in boards[job]]

    for board in boards[job]:
        for title, expression in expressions(board):
            query = asked(expression, job)

            def has_data(query: str = query) -> bool:
                return any(not math.isnan(value) for _, value in systems.prometheus.query(query))

            until(has_data, f"{board['title']}, {title}: {query}", 150)
    if directory := os.environ.get("SCENE_DIR"):
        save(systems.prometheus, [*boards[job], *boards[f"{job}-ko"]], job, Path(directory))


def save(prometheus: PrometheusServer, boards: list[dict[str, Any]], job: str, directory: Path) -> None:
    """What Grafana would draw: each dashboard with the answers to its queries."""
    directory.mkdir(parents=True, exist_ok=True)
    end = time.time() // 5 * 5 - 2.5  # no time on the axis is cut off at its end
    start = end - max(SCENE_S, 60)
    for board in boards:
        answers = {
            str(panel["id"]): [
                prometheus.api(
                    "query_range", query=asked(target["expr"], job), start=f"{start}", end=f"{end}", step="2"
                )["result"]
                for target in panel["targets"]
            ]
            for panel in panels(board)
        }
        file = directory / f"{board['uid']}.json"
        file.write_text(json.dumps({"dashboard": board, "answers": answers, "from": start, "to": end}))


def test_who_has_no_builder_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otel_obs.ops.grafana", None)
    board = BOARDS[0]

    with pytest.raises(MissingPackageError) as missing:
        dashboard(board, EVERYTHING)
    assert str(missing.value) == (
        "otel-obs needs grafana-foundation-sdk for dashboards; install it with: pip install 'otel-obs[dashboards]'"
    )
    monkeypatch.setattr(dashboards, "OLDEST_PYTHON", (4, 0))
    with pytest.raises(OperationsError) as too_old:
        dashboard(board, EVERYTHING)
    assert str(too_old.value) == (
        "dashboards need Python 3.11 or later, where their builder begins; "
        "write the rest with: otel-obs generate prometheus, and alertmanager"
    )
