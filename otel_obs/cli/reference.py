"""Generates `docs/cli.md` from the commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from otel_obs.cli.commands import app

HEAD = """\
# The command `otel-obs`

`pip install 'otel-obs[cli]'` brings it; `python -m otel_obs` is the same. Exit codes are the same everywhere:
0 fine, 1 something was found, 2 wrong use or nothing to be read. `--json` prints what a program can read. An
address may be as short as `:8000` or `localhost:8000`; without a path it is `/metrics`.
`otel-obs --install-completion` sets up completion for your shell.
"""


def reference_page() -> str:
    """All commands, in the order of their names."""
    commands = list(_commands(typer.main.get_command(app)))
    links = "".join(
        f"- [`{name}`](#otel-obs-{name.replace(' ', '-')}): {_summary(command)}\n"
        for name, command in commands
    )
    return HEAD + "\n" + links + "".join(_section(name, command) for name, command in commands)


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name; a group is replaced by its commands."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _summary(command: Any) -> str:
    return " ".join(command.help.split("\n\n")[0].split())


def _section(name: str, command: Any) -> str:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [
        param for param in command.params if param.param_type_name == "option" and param.name != "help"
    ]
    usage = " ".join(["otel-obs", name, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
    parts = [f"\n## otel-obs {name}\n", command.help.strip() + "\n", f"```text\n{usage}\n```\n"]
    rows = [_row(f"`{_metavar(param)}`", param) for param in arguments]
    rows += [_row(_option(param), param) for param in options]
    if rows:
        parts.append("| | | default |\n|---|---|---|\n" + "".join(rows))
    parts.append("```text\n" + _examples(command.epilog) + "\n```\n")
    return "\n".join(parts)


def _metavar(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _usage(param: Any) -> str:
    text = _metavar(param) + ("..." if param.nargs == -1 else "")
    return text if param.required else f"[{text}]"


def _option(param: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*param.opts, *param.secondary_opts])


def _row(name: str, param: Any) -> str:
    default = param.default
    is_shown = isinstance(default, int | float | str) and not isinstance(default, bool) and default != ""
    help_text = " ".join((param.help or "").split()).replace("|", "\\|")
    return f"| {name.replace('|', chr(92) + '|')} | {help_text} | {f'`{default}`' if is_shown else ''} |\n"


def _examples(epilog: str) -> str:
    return "\n".join(line.strip() for line in epilog.splitlines() if line.startswith("    "))
