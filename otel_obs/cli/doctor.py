"""`otel-obs doctor`: what happens if a command runs under the wrapper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from otel_obs.cli import output
from otel_obs.diagnosis.examine import SETTINGS_IN_FORCE, examine, examine_process
from otel_obs.diagnosis.report import Diagnosis, Fact
from otel_obs.settings import process_environment


def doctor(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND", help="The command that starts the service, with its arguments."),
    ] = None,
    pid: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="In its place: a process that runs.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the command will run.", exists=True, file_okay=False)
    ] = Path(),
    everything: Annotated[
        bool,
        typer.Option("--all", help="Settings that nobody has set and instrumentations that do nothing, too."),
    ] = False,
    json: output.JsonOption = False,
) -> None:
    """Say what will happen if a command runs under the wrapper, and what to change; nothing is run.

    With --pid, diagnose a running process, which is only read. Exit codes: 0 nothing to change, 1 something
    to change, 2 wrong use.
    """
    if bool(command) == (pid is not None):
        raise typer.BadParameter("give either `-- COMMAND` or --pid")
    with output.progress("reading"):
        found = (
            examine_process(pid)
            if pid is not None
            else examine(command or [], process_environment(), directory.resolve())
        )
    if json:
        output.print_json({"sections": found.sections, "problems": found.problems})
    else:
        _print(found, everything)
    output.found_something(bool(found.problems))


def _print(found: Diagnosis, everything: bool) -> None:
    out = output.console()
    for section, facts in found.sections.items():
        shown = facts if everything else [fact for fact in facts if _is_telling(section, fact)]
        if not shown:
            continue
        out.print(Text(section, "bold"))
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(overflow="fold")
        for fact in shown:
            table.add_row(
                "",
                output.foreign_text(fact.name),
                output.foreign_text(fact.value),
                Text.assemble((str(output.foreign_text(fact.source)), "dim")),
            )
        out.print(table)
    for problem in found.problems:
        out.print(
            Text.assemble(
                ("! ", "bold red"),
                output.foreign_text(problem.subject),
                " ",
                output.foreign_text(problem.what),
            )
        )
        out.print(Text.assemble(("  fix: ", "dim"), output.foreign_text(problem.remedy)))
    count = len(found.problems)
    out.print(f"{count} {'thing' if count == 1 else 'things'} to change" if count else "nothing to change")


def _is_telling(section: str, fact: Fact) -> bool:
    if section == SETTINGS_IN_FORCE:
        return fact.source != "default"
    return fact.value != "not loaded"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "doctor",
        doctor,
        "doctor -- gunicorn -w 4 shop:app",
        "doctor -- opentelemetry-instrument uvicorn shop:app --workers 2",
        "doctor --pid 4711 --json",
    )
