"""`otel-obs top`: a service at a glance in a terminal."""

from __future__ import annotations

import math
import os
import re
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from otel_obs.cli import output
from otel_obs.cli.view import DEFAULT_TARGET
from otel_obs.errors import UnreadableError
from otel_obs.live.rates import RateRow, Rates, sparkline
from otel_obs.reading.fetch import Fetching, address
from otel_obs.reading.text import PageReader

COLUMNS = ("5 s", "30 s", "5 min", "errors", "p95", "endpoint")
HEAD_LINES = 4
SEQUENCE = re.compile(r"\x1b[\[O][0-9;]*[@-~]")
"""Escape sequences of arrow keys and the like, which are ignored."""


def _number(value: float) -> float:
    return -1.0 if math.isnan(value) else value


ORDERS: dict[str, Callable[[RateRow], Any]] = {
    "5s": lambda row: row.rates[0],
    "30s": lambda row: row.rates[1],
    "5m": lambda row: row.rates[2],
    "errors": lambda row: _number(row.errors),
    "p95": lambda row: _number(row.p95_s),
    "endpoint": lambda row: row.endpoint,
}


class Screen:
    """The state of the screen: the rates of one service, and the sort order."""

    def __init__(self, url: str, order: str) -> None:
        self.url, self.order, self.is_reversed = url, order, False
        self.rates, self.problem, self._reader = Rates(), "", PageReader()

    def look(self, fetching: Fetching) -> None:
        """Scrape the service once; a failure is shown, and the next interval tries again."""
        try:
            answer = fetching.fetch(self.url)
        except UnreadableError as error:
            self.problem = str(error)
            return
        if answer.status != 200:
            self.problem = f"{self.url} answered {answer.status}"
            return
        page = self._reader.read(answer.body, answer.format)
        self.problem = "" if page.families else f"{self.url} holds no metric; give the address of /metrics"
        self.rates.add(page, time.monotonic())

    def rows(self) -> list[RateRow]:
        """The endpoints in the chosen order."""
        descends = (self.order != "endpoint") is not self.is_reversed
        return sorted(self.rates.rows(), key=ORDERS[self.order], reverse=descends)

    def press(self, key: str) -> bool:
        """Handle a key; False means quit."""
        orders = list(ORDERS)
        if key == "s":
            self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        elif key == "r":
            self.is_reversed = not self.is_reversed
        elif key.isdecimal() and 1 <= int(key) <= len(orders):
            self.order = orders[int(key) - 1]
        return key not in ("q", "\x1b", "\x04")

    def table(self, console: Console) -> Group:
        """The table, cut to the height of the terminal."""
        table = Table(box=None, pad_edge=False, expand=console.is_terminal)
        for name, order in zip(COLUMNS, ORDERS, strict=True):
            mark = " ▴" if self.is_reversed else " ▾"
            title = name + (mark if order == self.order else "")
            if name == "endpoint":
                table.add_column(title, ratio=1, no_wrap=True, overflow="ellipsis")
            else:
                table.add_column(title, justify="right", no_wrap=True)
        table.add_column("requests a second", no_wrap=True, overflow="crop")
        rows = self.rows()
        room = max(1, console.height - HEAD_LINES) if console.is_terminal else len(rows)
        for row in rows[:room]:
            table.add_row(*_cells(row))
        left = f", {len(rows) - room} more do not fit" if len(rows) > room else ""
        total = sum(row.rates[0] for row in rows)
        head = Text.assemble(
            (str(output.foreign_text(self.url)), "bold"), f"  {total:.1f} requests a second{left}"
        )
        foot = Text("s sort  1-6 by column  r reverse  q quit", "dim") if console.is_terminal else Text()
        said = Text(str(output.foreign_text(self.problem)), "bold red") if self.problem else foot
        return Group(head, said, table)


def _cells(row: RateRow) -> list[Text | str]:
    errors = "" if math.isnan(row.errors) else f"{100 * row.errors:.1f}%"
    p95 = "" if math.isnan(row.p95_s) else f"{1000 * row.p95_s:.0f} ms"
    style = "red" if row.errors > 0 else ""
    rates = [f"{rate:.1f}" for rate in row.rates]
    return [
        *rates,
        Text(errors, style),
        p95,
        output.foreign_text(row.endpoint),
        Text(sparkline(row.points), "cyan"),
    ]


def top(
    url: Annotated[str, typer.Argument(metavar="URL", help="The service.")] = DEFAULT_TARGET,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two scrapes.")] = 1.0,
    sort: Annotated[str, typer.Option(help=f"By which column: {', '.join(ORDERS)}.")] = "5s",
    once: Annotated[bool, typer.Option("--once", help="Print one table over one interval and end.")] = False,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
) -> None:
    """Show rates over 5 s, 30 s and 5 min, errors and latency by endpoint, live in a terminal.

    In a pipe, and with --once or --json, it prints what happened within one interval and ends.
    """
    if sort not in ORDERS:
        raise typer.BadParameter(f"--sort {sort!r} is no column; expected one of {', '.join(ORDERS)}")
    fetching = output.fetching(header, token_file, timeout)
    screen, console = Screen(address(url), sort), output.console()
    screen.look(fetching)
    if screen.problem:
        raise UnreadableError(screen.url, screen.problem.removeprefix(screen.url).strip())
    if json or once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        time.sleep(interval)
        screen.look(fetching)
        if json:
            output.print_json({"url": screen.url, "endpoints": screen.rows()})
        else:
            console.print(screen.table(console))
        output.exit_with(0)
    with (
        _keys() as pressed,
        Live(screen.table(console), console=console, screen=True, auto_refresh=False) as live,
    ):
        _watch(screen, fetching, live, pressed, interval)


def _watch(
    screen: Screen, fetching: Fetching, live: Live, pressed: Callable[[float], str], interval_s: float
) -> None:
    """Scrape at each interval, and handle keys in between."""
    due_s = time.monotonic() + interval_s
    while True:
        key = pressed(max(0.0, due_s - time.monotonic()))
        if key and not screen.press(key):
            return
        if time.monotonic() >= due_s:
            screen.look(fetching)
            due_s = time.monotonic() + interval_s
        live.update(screen.table(live.console), refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """Read keys as they are pressed, without Enter and without echo; restore the terminal at the end."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(timeout_s: float) -> str:
        ready, _, _ = select.select([descriptor], [], [], timeout_s)
        keys = os.read(descriptor, 64).decode(errors="replace") if ready else ""
        return SEQUENCE.sub("", keys)[:1]

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app, "top", top, "top :8000", "top https://shop.example/metrics --sort p95", "top :8000 --once"
    )
