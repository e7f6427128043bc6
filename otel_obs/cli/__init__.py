"""The command `otel-obs`, with one module for each subcommand.

Exit codes: 0 fine, 1 something was found, 2 wrong use or nothing to be read, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from otel_obs.cli.printable import printable
from otel_obs.cli.standard_streams import kept_open
from otel_obs.errors import MissingPackageError, OtelObsError, own_error, refusal

FINE, FOUND, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. A mistake prints one line, never a traceback."""
    with kept_open() as outlets:
        code = _code(arguments)
        sys.stdout.flush()
        for lost in (outlet.problem for outlet in outlets if outlet.problem):
            code = _told(f"the output cannot be written: {lost}")
    return code


def _code(arguments: Sequence[str] | None) -> int:
    try:
        return _run(arguments)
    except OtelObsError as error:
        return _told(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # of a file, a disk or a process that is not as the command needs it
        return _told(refusal(error))
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return _told(own_error(error))


def _told(message: str) -> int:
    print(f"otel-obs: {printable(message, kept=chr(10))}", file=sys.stderr)
    return WRONG_USE


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
