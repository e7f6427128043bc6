"""Every command, each from its own module. A new one is added here; `make docs` adds it to `docs/cli.md`."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from otel_obs.cli import analyze, budget, check, demo, diff, doctor, generate, migrate, stack, top, view

app = typer.Typer(
    name="otel-obs",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"otel-obs {installed_version('otel-obs')}")
        raise typer.Exit


@app.callback()
def otel_obs(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """See what a service measures, and find what is wrong with it."""


for module in (analyze, budget, check, demo, diff, doctor, generate, migrate, stack, top, view):
    module.add_to(app)
