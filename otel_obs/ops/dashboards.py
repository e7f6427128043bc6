"""Dashboards of Grafana: the panels of the tables that a service has metrics for, with their layout."""

from __future__ import annotations

import json
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from otel_obs.errors import MissingPackageError, OperationsError
from otel_obs.ops.board_uid import board_uid
from otel_obs.ops.panels import agents, health, http, llm, model
from otel_obs.ops.panels.panel import Panel, Section
from otel_obs.ops.promql import Dialect
from otel_obs.ops.service_facts import MonitoredService

OLDEST_PYTHON = (3, 11)
COLUMNS, STAT_HEIGHT, HEIGHT = 24, 4, 8
MATCHERS = ('job=~"$job"', 'instance=~"$instance"')
# Series of recording rules and alerts have a label `job`, but no `instance`.
RULES = ('job=~"$job"',)
OBJECTIVES = "job:slo_"
"""The prefix of series that are recorded for objectives."""


class Board(NamedTuple):
    """One dashboard.

    Attributes:
        slug: The end of its uid, and its file's name.
        en: Its title.
        ko: Its title in Korean.
        sections: Its sections.
    """

    slug: str
    en: str
    ko: str
    sections: tuple[Section, ...]


BOARDS = (
    Board("overview", "overview", "개요", (http.NOW, http.REQUESTS, http.SATURATION, http.WEBSOCKETS)),
    Board("model", "model and cache", "모델과 캐시", (model.MODEL, model.CACHE, model.DETECTION)),
    Board("llm", "language models", "LLM", (llm.LLM, llm.KEYS)),
    Board("dialogue", "dialogues and pipeline", "대화와 파이프라인", (llm.DIALOGUE, llm.PIPELINE)),
    Board(
        "agents",
        "agents and workflows",
        "에이전트와 워크플로",
        (agents.AGENTS, agents.WORKFLOWS, agents.DATABASE),
    ),
    Board("errors", "errors", "오류", (health.FAILING, health.ERRORS)),
    Board("runtime", "workers and runtime", "워커와 런타임", (health.WORKERS, health.RUNTIME)),
    Board("slo", "objectives and alerts", "목표와 알림", (health.SLO, health.ALERTS)),
)

PLAIN = Board(
    "reviewlens",
    "requests",
    "요청",
    (
        http.NOW,
        Section("Requests", "요청", (http.BY_ENDPOINT, http.ERROR_SHARE, http.QUANTILES, http.HEATMAP)),
    ),
)
DEMO = Board("demo", "demonstration", "데모 시나리오", (llm.DIALOGUE, llm.LLM, llm.PIPELINE, http.NOW))
PRODUCTION = Board(
    "production",
    "production",
    "운영",
    (http.NOW, health.SLO, health.ALERTS, http.REQUESTS, llm.LLM, http.SATURATION),
)
"""Three dashboards that one team imports by their file names."""


class Placed(NamedTuple):
    """A panel, or a heading where `panel` is None, with its position in Grafana's grid."""

    panel: Panel | None
    title: str
    x: int
    y: int
    width: int
    height: int


def sections_of(board: Board, service: MonitoredService, has_objectives: bool = False) -> list[Section]:
    """The sections of a board, with only the panels and curves that the service has metrics for."""

    def has(expression: str) -> bool:
        return service.has(expression) and (has_objectives or OBJECTIVES not in expression)

    found = []
    for section in board.sections:
        panels = tuple(
            replace(panel, curves=curves)
            for panel in section.panels
            if (curves := tuple(curve for curve in panel.curves if has(curve.expr)))
        )
        if panels:
            found.append(section._replace(panels=panels))
    return found


def layout(sections: Sequence[Section], language: str) -> Iterator[Placed]:
    """Place lines of panels below headings; each line fills all 24 columns."""
    y = 0
    for section in sections:
        yield Placed(None, getattr(section, language), 0, y, COLUMNS, 1)
        y += 1
        for line in _lines(section.panels):
            height = STAT_HEIGHT if all(panel.kind == "stat" for panel in line) else HEIGHT
            x = 0
            for panel, width in zip(line, _widths(line), strict=True):
                yield Placed(panel, getattr(panel, language).title, x, y, width, height)
                x += width
            y += height


def _lines(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    line: list[Panel] = []
    for panel in panels:
        is_other_height = bool(line) and (panel.kind == "stat") is not (line[0].kind == "stat")
        if is_other_height or sum(each.width for each in line) + panel.width > COLUMNS:
            yield line
            line = []
        line.append(panel)
    if line:
        yield line


def _widths(line: Sequence[Panel]) -> list[int]:
    """The widths of a line that is stretched to all columns, in proportion."""
    whole = sum(panel.width for panel in line)
    ends = [
        round(COLUMNS * sum(each.width for each in line[: index + 1]) / whole) for index in range(len(line))
    ]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def panel_id(slug: str) -> int:
    """An id that does not depend on the other panels of a dashboard."""
    return zlib.crc32(slug.encode()) % 2**31


def dashboard(
    board: Board,
    service: MonitoredService,
    language: str = "en",
    has_objectives: bool = False,
    uid: str = "",
) -> dict[str, Any]:
    """One dashboard as Grafana's classic JSON; empty where the service has no metric for any of its panels.

    Args:
        board: The dashboard.
        service: The service that it shows.
        language: `en` or `ko`.
        has_objectives: Whether the service has objectives.
        uid: Its uid; by default made from the job and the board.

    Raises:
        MissingPackageError: Grafana's builder is not installed.
        OperationsError: This Python is too old for it.
    """
    sections = sections_of(board, service, has_objectives)
    if not sections:
        return {}
    try:
        with warnings.catch_warnings():
            # Files and ConfigMaps need classic dashboards, which the builder has deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            from otel_obs.ops.grafana import dashboard_json
    except ImportError:
        if sys.version_info < OLDEST_PYTHON:
            raise OperationsError(
                "dashboards",
                "need Python 3.11 or later, where their builder begins",
                "write the rest with: otel-obs generate prometheus, and alertmanager",
            ) from None
        raise MissingPackageError("otel-obs", "grafana-foundation-sdk for dashboards", "dashboards") from None
    built = dashboard_json(
        uid or board_uid(service.job, board.slug),
        f"{service.job}: {getattr(board, language)}",
        service.job,
        list(layout(sections, language)),
        language,
        service.naming,
    )
    found: dict[str, Any] = json.loads(built)
    for variable in found["templating"]["list"]:
        # The builder writes these keys to every variable; the schema allows them for intervals only.
        for key in ("auto", "auto_min", "auto_count"):
            variable.pop(key, None)
    return found


def matchers_of(expression: str) -> tuple[str, ...]:
    """The matchers that are added to every selector of a panel's expression."""
    return RULES if OBJECTIVES in expression or "ALERTS" in expression else MATCHERS


def said(expression: str, service_naming: Any) -> str:
    """A panel's expression in a service's names."""
    return Dialect(service_naming, matchers_of(expression)).say(expression)


def dashboard_text(content: Mapping[str, Any]) -> str:
    """The text of a dashboard's file."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


TRACES_UID = "traces"
"""The data source that an exemplar leads to."""


def provisioning(
    source_url: str, provider: str, path: str, interval: str = "15s", stores: Sequence[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """The provisioning files that give Grafana its data sources and dashboards.

    Args:
        source_url: The address of Prometheus.
        provider: The name of the dashboards' directory in Grafana.
        path: That directory.
        interval: The time between two scrapes, which is the smallest useful step.
        stores: Further data sources, such as those of traces and logs.
    """
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": source_url,
        "isDefault": True,
        "editable": True,
        "jsonData": {
            "httpMethod": "POST",
            "timeInterval": interval,
            "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": TRACES_UID}],
        },
    }
    directory = {
        "name": provider,
        "orgId": 1,
        "folder": "",
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 10,
        "allowUiUpdates": True,
        "options": {"path": path, "foldersFromFilesStructure": False},
    }
    return {
        "provisioning/datasources/prometheus.yml": {
            "apiVersion": 1,
            "datasources": [source, *map(dict, stores)],
        },
        "provisioning/dashboards/dashboards.yml": {"apiVersion": 1, "providers": [directory]},
    }
