"""`otel-obs migrate`: a diff that removes code which otel_obs makes superfluous."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from otel_obs.cli import output
from otel_obs.cli.printable import printable
from otel_obs.migration.files import write as write_file
from otel_obs.migration.migrate import FileMigration
from otel_obs.migration.migrate import migrate as find_places

DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def migrate(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A Python file, or a directory of them.")],
    write: Annotated[bool, typer.Option("--write", help="Change the files.")] = False,
    json: output.JsonOption = False,
) -> None:
    """Find code for other libraries, and your own middleware, that otel_obs makes superfluous; show a diff.

    It knows prometheus_client, prometheus_flask_exporter, prometheus-fastapi-instrumentator and
    starlette_exporter. Nothing is executed. Code that uses prometheus_client stays; only the set-up of its
    multi-process mode is removed. Code that cannot be changed safely is named with the remedy, on standard
    error. Exit codes: 0 nothing to change, 1 something found, 2 wrong use.
    """
    with output.progress(f"reading {path}"):
        migration = find_places(path)
    failed = _written(migration.found) if write else []
    is_found = bool(migration.found or failed)
    if json:
        output.print_json({"files": [_as_data(each) for each in migration.found], "unread": migration.unread,
                           "unwritten": failed})  # fmt: skip
        output.found_something(is_found)
    out = output.console()
    for each in migration.found:
        for line in each.diff.split("\n")[:-1]:
            style = "bold" if line.startswith(("+++", "---")) else DIFF_COLOURS.get(line[:1], "")
            out.print(Text(_shown(line), style=style))
    errors = output.error_console()
    for each in migration.found:
        for place in each.places:
            mark = "" if place.is_changed else "! "
            errors.print(output.foreign_text(f"{mark}{each.path}:{place.line}: {place.what}: {place.remedy}"))
    for name, problem in [*migration.unread, *failed]:
        errors.print(output.foreign_text(f"? {name} {problem}"))
    errors.print(_summary(migration.found, write, len(failed)))
    output.found_something(is_found)


def _shown(line: str) -> str:
    """A line of code, with control characters escaped, since they could change the terminal's state."""
    return printable(line.removesuffix("\r"), kept="\t")


def _written(found: tuple[FileMigration, ...]) -> list[tuple[str, str]]:
    problems = [(str(each.path), write_file(each.path, each.text)) for each in found if each.diff]
    return [(name, problem) for name, problem in problems if problem]


def _as_data(each: FileMigration) -> dict[str, object]:
    return {"path": str(each.path), "places": [place._asdict() for place in each.places], "diff": each.diff}


def _summary(found: tuple[FileMigration, ...], is_written: bool, failed: int) -> str:
    places = [place for each in found for place in each.places]
    if not places:
        return "nothing to change"
    changed, files = sum(place.is_changed for place in places), sum(bool(each.diff) for each in found)
    said = f"{changed} places in {files} files change, {len(places) - changed} are left to you"
    if is_written:
        return f"{said}; {files - failed} files written. {RUN}"
    return f"{said}; --write changes the files" if changed else said


RUN = "Start it with opentelemetry-instrument -- COMMAND, or leave otel_obs.instrument(app) in it"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app, "migrate", migrate, "migrate src", "migrate app.py --write", "migrate . > otel.patch"
    )
