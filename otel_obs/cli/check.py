"""`otel-obs check`: what is wrong with an endpoint."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from otel_obs.checks.all_checks import BY_CODE, Finding
from otel_obs.checks.evidence import Limits
from otel_obs.checks.examination import Repetition, check_source
from otel_obs.cli import output
from otel_obs.cli.printable import printable
from otel_obs.reading.fetch import address_or_file

SHOWN = 8
"""How many findings of one code are printed; JSON has all."""
COLOURS = {"error": "bold red", "warning": "yellow"}


def check(
    source: Annotated[
        str, typer.Argument(metavar="URL|FILE", help="A page of metrics: an address, a file, or `-`.")
    ],
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help="Codes to leave out, `OBS017` or `OBS017,OBS023`; again for more."),
    ] = None,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
    max_series: Annotated[
        int, typer.Option(min=1, max=output.MOST, help="How many series a page may have.")
    ] = Limits.series,
    scrapes: Annotated[
        int, typer.Option(min=0, max=10_000, help="How often to ask again, to compare answers.")
    ] = 10,
    interval: Annotated[
        float, typer.Option(min=0, max=output.MOST_SECONDS, help="Seconds between these.")
    ] = 0.0,
    max_seconds: Annotated[
        float, typer.Option(min=0, max=output.MOST_SECONDS, help="How long a scrape may take.")
    ] = Limits.scrape_s,
) -> None:
    """Find what is wrong with a page of metrics: of any Prometheus endpoint, ours or not.

    Each finding has a stable code with a page under docs/checks/. Exit codes: 0 nothing found, 1 something
    found, 2 wrong use.
    """
    ignored = _codes(ignore or ())
    fetching = output.fetching(header, token_file, timeout)
    with output.progress(f"checking {source}"):
        limits = Limits(series=max_series, scrape_s=max_seconds)
        again = Repetition(scrapes, interval)
        found = check_source(address_or_file(source), fetching, limits, again)
    findings = [finding for finding in found if finding.code not in ignored]
    if json:
        output.print_json([_as_row(finding) for finding in findings])
    else:
        _print(source, findings)
    output.found_something(bool(findings))


def _codes(given: list[str] | tuple[str, ...]) -> set[str]:
    codes = {code.strip().upper() for text in given for code in text.split(",") if code.strip()}
    unknown = sorted(codes - BY_CODE.keys())
    if unknown:
        shown = printable(", ".join(unknown))
        raise typer.BadParameter(f"{shown} is no code of a check; docs/checks/ lists them")
    return codes


def _as_row(finding: Finding) -> dict[str, str]:
    check = finding.check
    return {
        **finding._asdict(),
        "level": check.level,
        "title": check.title,
        "why": check.why,
        "remedy": check.remedy,
    }


def _print(source: str, findings: list[Finding]) -> None:
    out = output.console()
    for code in dict.fromkeys(finding.code for finding in findings):
        row = BY_CODE[code]
        out.print(Text.assemble((code, COLOURS[row.level]), f" {row.title}"))
        alike = [finding for finding in findings if finding.code == code]
        for finding in alike[:SHOWN]:
            out.print(
                Text.assemble(
                    "  ", output.foreign_text(finding.subject), ": ", output.foreign_text(finding.what)
                )
            )
        if len(alike) > SHOWN:
            out.print(f"  and {len(alike) - SHOWN} more, which --json lists")
        out.print(Text.assemble(("  why: ", "dim"), row.why))
        out.print(Text.assemble(("  fix: ", "dim"), row.remedy))
    errors = sum(finding.check.level == "error" for finding in findings)
    if findings:
        warnings = len(findings) - errors
        out.print(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}")
    else:
        out.print(Text.assemble(output.foreign_text(source), ": nothing found"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "check",
        check,
        "check localhost:8000",
        "check https://shop.example/metrics --token-file token.txt --ignore OBS023",
        "check page.prom --json",
    )
