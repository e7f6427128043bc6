"""The command `otel-obs`, with one module for each subcommand.

Exit codes: 0 fine, 1 something was found, 2 wrong use or nothing to be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from otel_obs.errors import MissingPackageError, OtelObsError

FINE, FOUND, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. A user's mistake prints one line, never a traceback."""
    try:
        return _run(arguments)
    except OtelObsError as error:
        print(f"otel-obs: {error}", file=sys.stderr)
        return WRONG_USE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return FINE


def _run(arguments: Sequence[str] | None) -> int:
    try:
        import rich
        import typer
    except ImportError as error:
        raise MissingPackageError("otel-obs", error.name or "typer", "cli") from None
    del rich, typer
    from otel_obs.cli.commands import app

    try:
        app(args=None if arguments is None else list(arguments), prog_name="otel-obs")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FINE
    return FINE


def _silence_stdout() -> None:
    """Send stdout to /dev/null: the pipe is closed, and the flush at exit must not raise again."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
