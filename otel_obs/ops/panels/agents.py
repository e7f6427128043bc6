"""Panels on agents, workflows, contexts, and databases."""

from __future__ import annotations

from otel_obs.ops.panels.panel import (
    GREEN,
    OUTCOMES,
    RED,
    YELLOW,
    Caption,
    Curve,
    Panel,
    Section,
    heat,
    percentile,
    quantiles,
)

_SHARE = ((None, GREEN), (0.05, YELLOW), (0.2, RED))


def _failed(counter: str, by: str) -> str:
    every = f"sum by ({by}) (rate({counter}[$__rate_interval]))"
    failed = f'sum by ({by}) (rate({counter}{{status="error"}}[$__rate_interval]))'
    return f"({failed} or 0 * {every}) / {every}"


AGENTS = Section(
    "Agents",
    "에이전트",
    (
        Panel(
            "agent-rate",
            "timeseries",
            "cpm",
            Caption("Executions per minute", "By agent."),
            Caption("분당 실행", "에이전트별입니다."),
            (Curve("60 * sum by (agent) (rate(agent_executions_total[$__rate_interval]))", "{{agent}}"),),
            is_stacked=True,
            width=8,
        ),
        Panel(
            "agent-failed",
            "timeseries",
            "percentunit",
            Caption("Executions that fail", "The share of each agent's executions."),
            Caption("실행 실패율", "에이전트별 실패 비율입니다."),
            (Curve(_failed("agent_executions_total", "agent"), "{{agent}}"),),
            steps=_SHARE,
            width=8,
        ),
        Panel(
            "agent-p95",
            "timeseries",
            "s",
            Caption("P95 of an execution", "By agent."),
            Caption("실행 시간 P95", "에이전트별입니다."),
            (Curve(percentile("0.95", "agent_duration_seconds", "agent"), "{{agent}}"),),
            width=8,
        ),
    ),
)

WORKFLOWS = Section(
    "Workflows",
    "워크플로",
    (
        Panel(
            "workflow-rate",
            "timeseries",
            "cpm",
            Caption("Workflows per minute", "By workflow and how they ended."),
            Caption("분당 워크플로", "워크플로와 결과별입니다."),
            (
                Curve(
                    "60 * sum by (workflow, status) (rate(workflows_total[$__rate_interval]))",
                    "{{workflow}} {{status}}",
                ),
            ),
            is_stacked=True,
            colours=OUTCOMES,
            width=8,
        ),
        Panel(
            "workflow-active",
            "timeseries",
            "short",
            Caption("In progress", "Workflows that go on now."),
            Caption("진행 중", "지금 진행 중인 워크플로입니다."),
            (Curve("sum by (instance) (workflows_active)", "{{instance}}"),),
            decimals=0,
            width=8,
        ),
        Panel(
            "workflow-p95",
            "timeseries",
            "s",
            Caption("P95 of a workflow", "By workflow."),
            Caption("워크플로 P95", "워크플로별입니다."),
            (Curve(percentile("0.95", "workflow_duration_seconds", "workflow"), "{{workflow}}"),),
            width=8,
        ),
        Panel(
            "context-size",
            "heatmap",
            "decbytes",
            Caption("Size of the context", "How many contexts of which size were given to a model."),
            Caption("컨텍스트 크기", "모델에 전달된 컨텍스트의 크기 분포입니다."),
            heat("context_size_bytes"),
            width=24,
        ),
    ),
)

DATABASE = Section(
    "Database",
    "데이터베이스",
    (
        Panel(
            "db-rate",
            "timeseries",
            "ops",
            Caption("Queries per second", "By the first word of the statement."),
            Caption("초당 쿼리", "명령 종류별입니다."),
            (Curve("sum by (operation) (rate(db_queries_total[$__rate_interval]))", "{{operation}}"),),
            is_stacked=True,
            width=8,
        ),
        Panel(
            "db-quantiles",
            "timeseries",
            "s",
            Caption("Percentiles of queries", "Half, 95% and 99% of the queries are quicker than this."),
            Caption("쿼리 시간 백분위수", "쿼리의 50%, 95%, 99%가 이 시간 안에 끝납니다."),
            quantiles("db_query_duration_seconds"),
            width=8,
        ),
        Panel(
            "db-connections",
            "timeseries",
            "short",
            Caption("Connections", "Of the pools of all workers, used and idle."),
            Caption("연결", "모든 워커의 풀에서 사용 중이거나 대기 중인 연결입니다."),
            (Curve("sum by (state) (db_connections)", "{{state}}"),),
            is_stacked=True,
            decimals=0,
            width=8,
        ),
    ),
)
