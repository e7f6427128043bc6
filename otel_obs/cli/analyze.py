"""`otel-obs analyze`: unused metrics, and rules and dashboards that use missing metrics."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from otel_obs.cli import output
from otel_obs.cli.diff import DashboardsOption, RulesOption
from otel_obs.reading.fetch import address
from otel_obs.usage.analyze import Analysis, PrometheusApi
from otel_obs.usage.analyze import analyze as compare_with_users
from otel_obs.usage.users import read_users


def analyze(
    prometheus: Annotated[str, typer.Option("--prometheus", metavar="URL", help="Where Prometheus is.")],
    job: Annotated[str, typer.Option(help="The service's name there; without it, all that is scraped.")] = "",
    rules: RulesOption = None,
    dashboards: DashboardsOption = None,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 30.0,
) -> None:
    """List metrics that no rule and no dashboard uses, and rules and dashboards that use missing metrics.

    Without --rules, the rules that Prometheus runs are used. Exit codes: 0 nothing found, 1 something found,
    2 wrong use.
    """
    users = read_users(rules or (), dashboards or ())
    where = address(prometheus).removesuffix("/metrics")
    api = PrometheusApi(where, output.fetching(header, token_file, timeout))
    with output.progress(f"asking {where}"):
        found = compare_with_users(api, job, users if rules else [*api.rules(), *users])
    if json:
        output.print_json({**found._asdict(), "unread": [each.user for each in found.unread]})
    else:
        _print(found)
    output.found_something(bool(found.unused or found.missing or found.unread))


def _print(found: Analysis) -> None:
    out = output.console()
    for unused in found.unused:
        out.print(
            Text.assemble(
                ("unused  ", "yellow"), output.foreign_text(f"{unused.family}, {unused.series} series")
            )
        )
    for each in found.missing:
        out.print(Text.assemble(("missing ", "bold red"), output.foreign_text(f"{each.where}: {each.why}")))
    for user in found.unread:
        out.print(output.foreign_text(f"unread  {user.user.where}: is no PromQL: {user.problem}"))
    series = sum(unused.series for unused in found.unused)
    out.print(
        f"{len(found.unused)} metrics with {series} series are unused; {len(found.missing)} uses find nothing"
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "analyze",
        analyze,
        "analyze --prometheus :9090 --job shop --dashboards grafana/",
        "analyze --prometheus https://prometheus.example --rules rules/ --json",
    )
