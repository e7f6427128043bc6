"""`otel-obs diff`: what changed between two scrapes or releases, and which rules and panels break."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from otel_obs.cli import output
from otel_obs.reading.fetch import address_or_file
from otel_obs.usage.compare import breaks, changes
from otel_obs.usage.exposed import exposed_by, read_exposed
from otel_obs.usage.users import read_users

MARKS = {"gone": ("- ", "red"), "new": ("+ ", "green"), "changed": ("~ ", "yellow")}
RulesOption = Annotated[
    list[Path] | None,
    typer.Option("--rules", help="A file of rules, or a directory of them; again for more."),
]
DashboardsOption = Annotated[
    list[Path] | None,
    typer.Option("--dashboards", help="A dashboard's JSON, or a directory of them; again for more."),
]


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A page of metrics: an address or a file.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The page to compare it with.")],
    rules: RulesOption = None,
    dashboards: DashboardsOption = None,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
) -> None:
    """Compare families, types, labels and bounds of two pages, and name the rules and panels that break.

    Values are not compared. Exit codes: 0 nothing changed, 1 something did, 2 wrong use.
    """
    users = read_users(rules or (), dashboards or ())
    fetching = output.fetching(header, token_file, timeout)
    with output.progress(f"comparing {old} with {new}"):
        before, after = (exposed_by(read_exposed(address_or_file(each), fetching)) for each in (old, new))
    changed, broken = changes(before, after), breaks(before, after, users)
    unread = [each for each in users if each.problem]
    if json:
        output.print_json({"changes": changed, "breaks": broken, "unread": [each.user for each in unread]})
        output.found_something(bool(changed or broken))
    out = output.console()
    for change in changed:
        what = f" {change.kind} {change.what}" if change.kind != "family" else ""
        out.print(
            Text.assemble(MARKS[change.how], output.foreign_text(change.family), output.foreign_text(what))
        )
    for each in broken:
        out.print(Text.assemble(("! ", "bold red"), output.foreign_text(f"{each.where}: {each.why}")))
    for user in unread:
        out.print(output.foreign_text(f"? {user.user.where}: is no PromQL: {user.problem}"))
    out.print(
        f"{len(changed)} changes, {len(broken)} rules and panels break" if changed else "nothing changed"
    )
    output.found_something(bool(changed or broken))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "diff",
        diff,
        "diff before.prom :8000",
        "diff https://shop.example/metrics :8000 --rules rules/ --dashboards dashboards/",
    )
