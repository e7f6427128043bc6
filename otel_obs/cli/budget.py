"""`otel-obs budget`: the cost of series, and possible savings."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from otel_obs.cli import output
from otel_obs.reading.fetch import address_or_file
from otel_obs.usage.budget import SeriesPrice, parse_price, savings, shares
from otel_obs.usage.exposed import read_exposed

MOST_LABELS = 3


def budget(
    source: Annotated[str, typer.Argument(metavar="URL|FILE", help="A page of metrics.")],
    price: Annotated[
        str, typer.Option(help="`8 per 1000 series` for a month, or `0.9 per 10M samples`.")
    ] = "",
    interval: Annotated[
        float, typer.Option(min=0.1, max=output.MOST_SECONDS, help="Seconds between two scrapes.")
    ] = 15.0,
    instances: Annotated[
        int, typer.Option(min=1, max=output.MOST, help="How many targets have such a page.")
    ] = 1,
    top: Annotated[
        int, typer.Option(min=1, max=output.MOST, help="How many lines of each table are shown.")
    ] = 10,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
) -> None:
    """Count series and samples a minute by metric and label, and say what dropping or coarsening would save.

    Give the price, in any currency. The savings listed for one family do not add up.
    Exit codes: 0 counted, 2 wrong use.
    """
    paid = parse_price(price) if price else None
    with output.progress(f"reading {source}"):
        page = read_exposed(address_or_file(source), output.fetching(header, token_file, timeout))
    everything, possible = shares(page), savings(page)
    total = sum(share.series for share in everything) * instances

    def row(series: int) -> dict[str, float]:
        count = series * instances
        found = {"series": count, "samples_per_minute": count * 60 / interval}
        return {**found, "cost_per_month": paid.of(count, interval)} if paid else found

    if json:
        output.print_json(
            {
                "total": row(total // instances),
                "families": [{**share._asdict(), **row(share.series)} for share in everything],
                "savings": [{**saving._asdict(), **row(saving.series)} for saving in possible],
            }
        )
        output.exit_with(0)
    out = output.console()
    by_family = _table("metric", "its largest labels", paid)
    for share in everything[:top]:
        largest = ", ".join(f"{label} {count}" for label, count in list(share.labels.items())[:MOST_LABELS])
        by_family.add_row(
            output.foreign_text(share.family), output.foreign_text(largest), *_cells(row(share.series))
        )
    out.print(by_family)
    by_saving = _table("metric", "what would save", paid)
    for saving in possible[:top]:
        by_saving.add_row(
            output.foreign_text(saving.family), output.foreign_text(saving.what), *_cells(row(saving.series))
        )
    out.print(by_saving)
    out.print(
        "all: "
        + ", ".join(
            f"{cell} {name}" for cell, name in zip(_cells(row(total // instances)), row(0), strict=True)
        ).replace("_", " ")
    )


def _table(first: str, second: str, price: SeriesPrice | None) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    table.add_column(second, overflow="fold")
    for name in ["series", "samples a minute", *(["cost a month"] if price else [])]:
        table.add_column(name, justify="right")
    return table


def _cells(numbers: dict[str, float]) -> list[str]:
    return [
        f"{value:,.2f}" if name.startswith("cost") else f"{value:,.0f}" for name, value in numbers.items()
    ]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "budget",
        budget,
        "budget :8000 --price '8 per 1000 series'",
        "budget page.prom --price '0.9 per 10M samples' --interval 30 --instances 4",
    )
