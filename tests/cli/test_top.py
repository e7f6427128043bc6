"""`top` in a pseudo-terminal, in a pipe, and where nobody answers."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time

from tests.cli.test_command import otel_obs
from tests.live.test_rates import page
from tests.support.endpoints import Endpoint, Reply
from tests.support.ports import free_port
from tests.support.processes import clean_env, tool


def growing(accept: str, before: int) -> Reply:
    """Ten requests between two scrapes."""
    return Reply(page(10 * before, errors=before))


class Terminal:
    """A command in a terminal of 80 columns and 24 lines; a context manager."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        env = {**clean_env(), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [tool("otel-obs"), *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=env
        )
        self.text = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self.theirs)

    def read_until(self, text: str, timeout_s: float = 60.0) -> None:
        """Read what is shown until *text* is."""
        end_s = time.monotonic() + timeout_s
        self.text = ""
        while text not in self.text:
            assert time.monotonic() < end_s, self.text
            if select.select([self._ours], [], [], 0.2)[0]:
                self.text += os.read(self._ours, 65536).decode(errors="replace")

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self._ours, key.encode())


def test_in_a_terminal_it_shows_rates_follows_keys_and_puts_the_terminal_back() -> None:
    with Endpoint(growing) as endpoint, Terminal("top", endpoint.url, "--interval", "0.3") as terminal:
        terminal.read_until("9.1%")
        assert "/a" in terminal.text
        terminal.read_until("5 s ▾")
        terminal.press("4")
        terminal.read_until("errors ▾")
        terminal.press("r")
        terminal.read_until("errors ▴")
        terminal.press("\x1b[A")
        terminal.press("s")
        terminal.read_until("p95 ▴")
        terminal.press("q")
        terminal.read_until("\x1b[?1049l")
        assert terminal.process.wait(30) == 0
        assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_service_that_goes_away_is_said_and_not_the_end() -> None:
    with Endpoint(growing) as endpoint:
        port = endpoint.port
        terminal = Terminal("top", endpoint.url, "--interval", "0.3")
        terminal.read_until("9.1%")
    with terminal:
        terminal.read_until("cannot be reached")
        terminal.press("q")
        assert terminal.process.wait(30) == 0
    assert port


def test_in_a_pipe_it_prints_one_interval_and_ends() -> None:
    with Endpoint(growing) as endpoint:
        shown = otel_obs("top", endpoint.url, "--interval", "0.2")
        done = otel_obs("top", endpoint.url, "--interval", "0.2", "--json")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "/a" in shown.stdout
    assert "\x1b" not in shown.stdout
    (row,) = json.loads(done.stdout)["endpoints"]
    assert row["endpoint"] == "/a"
    assert row["errors"] == 1 / 11
    assert row["rates"][0] > 0


def test_a_service_that_is_not_there_is_wrong_use() -> None:
    done = otel_obs("top", f"http://127.0.0.1:{free_port()}/metrics")

    assert done.returncode == 2
    assert "cannot be reached" in done.stderr
    assert otel_obs("top", "--sort", "luck").returncode == 2
