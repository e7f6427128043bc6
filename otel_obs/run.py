"""`python -m otel_obs.run COMMAND…`: `opentelemetry-instrument` without options of its own.

`opentelemetry-instrument` takes an option of the command for one of its own if the two begin alike.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

USAGE = """\
usage: python -m otel_obs.run COMMAND [ARGUMENT ...]

Runs a Python program with metrics, as opentelemetry-instrument does. Everything after
`otel_obs.run` is the command's own; settings are environment variables, see docs/settings.md.
"""
_NOT_FOUND, _WRONG_USE = 127, 2


def main(arguments: Sequence[str]) -> int:
    """Execute the command; returns only if that fails, or for the usage.

    Returns:
        The exit code, by the conventions of shells.
    """
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    if not command or arguments[0] in ("-h", "--help"):
        (sys.stdout if command else sys.stderr).write(USAGE)
        return 0 if command else _WRONG_USE
    if shutil.which(command[0]) is None:
        from otel_obs.errors import program_not_found
        from otel_obs.frameworks.servers import PACKAGES

        line = program_not_found(command[0], PACKAGES.get(command[0], ""))
        sys.stderr.write(f"otel_obs.run: {line}\n")
        return _NOT_FOUND
    from opentelemetry.instrumentation.auto_instrumentation import run

    # The wrapper does not parse options after `--`.
    sys.argv = [sys.argv[0], "--", *command]
    run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
