"""Output of all commands: tables for people, JSON for programs, progress only on a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from otel_obs import cli
from otel_obs.cli.printable import printable
from otel_obs.errors import UnreadableError
from otel_obs.reading.fetch import Fetching

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", help="A header of each request, as `Name: value`; again for more."),
]
TokenFileOption = Annotated[
    Path | None, typer.Option("--token-file", help="A file that holds the bearer token of the page.")
]
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
MOST = 1_000_000_000
"""The highest number of an option that counts."""
MOST_SECONDS = 86_400
"""A day: no option takes more, and no clock or socket refuses it."""
TimeoutOption = Annotated[
    float, typer.Option("--timeout", min=0.1, max=MOST_SECONDS, help="Seconds to wait for an answer.")
]


def add_command(app: typer.Typer, name: str, command: Callable[..., object], *examples: str) -> None:
    """Add a command whose help ends with *examples*: `command line  # what it does`."""
    shown = "\n\n".join(f"    otel-obs {example}" for example in examples)
    app.command(name, epilog=f"**Examples**\n\n{shown}")(command)


WIDE = 100_000
"""The columns of a pipe: nothing of a table is cut or wrapped for a program, or for a file."""


def console() -> Console:
    """Standard output. Print foreign text as `Text`, which has no markup."""
    return _console(sys.stdout.isatty())


def error_console() -> Console:
    """Standard error, for messages that are not part of the output."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(is_terminal: bool, stderr: bool = False) -> Console:
    return Console(
        highlight=False, soft_wrap=not is_terminal, stderr=stderr, width=None if is_terminal else WIDE
    )


def foreign_text(text: object) -> Text:
    """Foreign text with control characters escaped."""
    return Text(printable(text))


def print_json(value: object) -> None:
    """Print a value; dataclasses and tuples become objects and lists, and surrogates their escapes."""
    is_unicode = "utf" in (sys.stdout.encoding or "").lower()
    text = json.dumps(_as_json(value), indent=2, ensure_ascii=not is_unicode)
    # What is not printable stands in strings only.
    typer.echo("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def _as_json(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if is_dataclass(value) and not isinstance(value, type):
        return _as_json(asdict(value))
    if hasattr(value, "_asdict"):
        return _as_json(value._asdict())
    if isinstance(value, Mapping):
        return {_as_json(str(key)): _as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return str(value)
    return value


def exit_with(code: int) -> NoReturn:
    """End the command with one of the exit codes."""
    raise typer.Exit(code)


def found_something(is_found: bool) -> NoReturn:
    """End with 1 where something was found, and with 0 otherwise."""
    exit_with(cli.FOUND if is_found else cli.FINE)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show on a terminal what is being done; print nothing in a pipe."""
    errors = error_console()
    if not errors.is_terminal:
        yield
        return
    with errors.status(foreign_text(what), spinner="line"):  # of ASCII, which every terminal has
        yield


def fetching(headers: Sequence[str] | None, token_file: Path | None, timeout_s: float) -> Fetching:
    """The request options that the user gave.

    Raises:
        typer.BadParameter: A header is not `Name: value`.
        UnreadableError: The token file cannot be read, or holds no token.
    """
    sent: dict[str, str] = {}
    for header in headers or ():
        name, colon, value = header.partition(":")
        if not colon or not HEADER_NAME.fullmatch(name.strip()) or not _is_sent(value):
            raise typer.BadParameter(f"{header!r} is not a header; expected `Name: value`, in Latin-1")
        sent[name.strip()] = value.strip()
    if token_file is not None:
        sent["Authorization"] = f"Bearer {_read_token(token_file)}"
    return Fetching(sent, timeout_s)


def _is_sent(value: str) -> bool:
    """Whether HTTP can send the value of a header."""
    return value.isprintable() and value.encode("latin-1", "ignore").decode("latin-1") == value


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise UnreadableError(str(path), f"cannot be read: {error.strerror}") from None
    except ValueError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise UnreadableError(str(path), "holds no token", "expected visible ASCII characters without spaces")
    return token
