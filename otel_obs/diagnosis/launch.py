"""Take a command line apart: the program behind launchers and wrappers, its Python and its variables."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from otel_obs.errors import UnreadableError

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PYTHON = re.compile(r"python[\d.]*(?:\.exe)?$")
_PYTHON_VALUES = ("-W", "-X", "--check-hash-based-pycs")
_LAUNCHERS: Mapping[str, tuple[str, ...]] = {
    "env": ("-u", "-C", "--unset", "--chdir"),
    "nice": ("-n", "--adjustment"),
    "nohup": (),
    "setsid": (),
    "stdbuf": ("-i", "-o", "-e"),
    "timeout": ("-k", "-s", "--kill-after", "--signal"),
    "tini": ("-p", "-e"),
    "dumb-init": ("-r", "--rewrite"),
    "uv": ("--with", "--extra", "--group", "--env-file", "-p", "--python", "--directory", "--project"),
    "poetry": ("-C", "--directory", "-P", "--project"),
    "pipenv": (),
    "pdm": ("-p", "--project"),
    "exec": (),
}
"""Programs that run another program, with their options that take a value."""
_SUBCOMMANDS = {"uv": "run", "poetry": "run", "pipenv": "run", "pdm": "run"}
_WRAPPER = "opentelemetry-instrument"
_WRAPPER_MODULES = ("otel_obs.run", "opentelemetry.instrumentation.auto_instrumentation")


@dataclass(frozen=True)
class Launch:
    """One command, taken apart.

    Attributes:
        program: The name of the server or program: `gunicorn`, `python`, `manage.py`.
        arguments: Its own arguments.
        path: The file that is executed; "" where it is not found.
        interpreter: The Python that runs it; "" where it is not known.
        flags: Options of that Python, such as `-I`.
        environ: The environment that it will have.
        assigned: The source of each variable that does not come from the environment.
        wrapper: The wrapper in the command line; "" without one.
        script: The Python file that it runs, where it runs one.
    """

    program: str = ""
    arguments: tuple[str, ...] = ()
    path: str = ""
    interpreter: str = ""
    flags: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    assigned: Mapping[str, str] = field(default_factory=dict)
    wrapper: str = ""
    script: str = ""


def take_apart(command: Sequence[str], environ: Mapping[str, str]) -> Launch:
    """Find what *command* runs.

    Args:
        command: The command line, in words.
        environ: The environment that it is given.

    Raises:
        UnreadableError: There is no program in it.
    """
    launch, rest = Launch(environ=environ), list(command)
    while rest and rest[0]:
        name = os.path.basename(rest[0])
        if _ASSIGNMENT.match(rest[0]):
            launch = _assign(launch, rest.pop(0), "the command line")
        elif name in _LAUNCHERS:
            rest = _behind(name, rest)
        elif name == _WRAPPER:
            launch, rest = _wrapped(launch, rest[1:])
        elif _PYTHON.match(name):
            launch, rest, is_over = _python(launch, rest)
            if is_over:
                return launch
        else:
            path = shutil.which(rest[0], path=launch.environ.get("PATH")) or ""
            own = launch.interpreter or interpreter_of(path)
            return replace(launch, program=name, path=path, interpreter=own, arguments=tuple(rest[1:]))
    raise UnreadableError(
        repr(" ".join(command)), "runs no program", "give the command that starts the service"
    )


def _assign(launch: Launch, pair: str, source: str) -> Launch:
    name, _, value = pair.partition("=")
    return replace(
        launch,
        environ={**launch.environ, name: value},
        assigned={**launch.assigned, name: source},
    )


def _behind(name: str, words: list[str]) -> list[str]:
    """The words after a launcher and its options."""
    values, at = _LAUNCHERS[name], 1
    if name in _SUBCOMMANDS and _SUBCOMMANDS[name] in words:
        at = words.index(_SUBCOMMANDS[name]) + 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            at += 1
            break
        at += 2 if words[at] in values else 1
    return words[at + 1 :] if name == "timeout" else words[at:]


def _wrapped(launch: Launch, words: list[str]) -> tuple[Launch, list[str]]:
    """Take the wrapper's options as variables: `--traces_exporter otlp` sets OTEL_TRACES_EXPORTER."""
    launch = replace(launch, wrapper=_WRAPPER)
    at = 0
    while at < len(words) and words[at].startswith("--"):
        if words[at] == "--":
            return launch, words[at + 1 :]
        option, equals, value = words[at].partition("=")
        at += 1
        if not equals and at < len(words):
            value, at = words[at], at + 1
        variable = "OTEL_" + option[2:].replace("-", "_").upper()
        launch = _assign(launch, f"{variable}={value}", f"{_WRAPPER} {option}")
    return launch, words[at:]


def _python(launch: Launch, words: list[str]) -> tuple[Launch, list[str], bool]:
    """Take apart a Python command: its options, and the module, script or code that it runs."""
    path = shutil.which(words[0], path=launch.environ.get("PATH")) or ""
    launch = replace(launch, interpreter=path or words[0])
    at, flags = 1, []
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-m", "-c", "-"):
        flags.append(words[at])
        at += 2 if words[at] in _PYTHON_VALUES else 1
    launch = replace(launch, flags=(*launch.flags, *flags))
    rest = words[at:]
    if rest[:1] == ["-m"] and len(rest) > 1:
        if rest[1] in _WRAPPER_MODULES:
            behind = rest[3:] if rest[2:3] == ["--"] else rest[2:]
            return replace(launch, wrapper=f"python -m {rest[1]}"), behind, not behind
        program = rest[1].removesuffix(".__main__")
        return replace(launch, program=program, path=path, arguments=tuple(rest[2:])), [], True
    if rest and not rest[0].startswith("-"):
        name = os.path.basename(rest[0])
        if not name.endswith(".py") and is_console_script(rest[0]):
            return replace(launch, program=name, path=rest[0], arguments=tuple(rest[1:])), [], True
        script = rest[0]
        return replace(launch, program=name, path=path, arguments=tuple(rest[1:]), script=script), [], True
    return replace(launch, program="python", path=path, arguments=tuple(rest)), [], True


def is_console_script(path: str) -> bool:
    """Whether a file is a Python console script, as pip installs them."""
    return bool(interpreter_of(path))


def interpreter_of(path: str) -> str:
    """The Python in the `#!` line of a script; "" where the file is not a Python script."""
    try:
        with Path(path).open("rb") as file:
            lines = [line.decode(errors="replace").strip() for line in file.read(1024).splitlines()[:3]]
    except OSError:
        return ""
    if not lines or not lines[0].startswith("#!"):
        return ""
    words = lines[0][2:].split()
    # Where the interpreter's path is too long for a `#!` line, pip writes `#!/bin/sh` and an `exec` line.
    if words and os.path.basename(words[0]) == "sh" and len(lines) > 1 and lines[1].startswith("'''exec'"):
        words = lines[1].split("'''exec'", 1)[1].replace('"', " ").split()
    if words and os.path.basename(words[0]) == "env":
        words = [shutil.which(words[-1]) or ""]
    return words[0] if words and _PYTHON.search(os.path.basename(words[0])) else ""
