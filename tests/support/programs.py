"""Short programs in interpreters of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

from tests.support.processes import clean_env

ROOT = Path(__file__).resolve().parents[2]


class Finished(NamedTuple):
    """A program that has ended."""

    returncode: int
    lines: list[str]
    log: str

    @property
    def results(self) -> list[Any]:
        """What it has printed, one JSON value a line."""
        return [json.loads(line) for line in self.lines]


def start(
    code: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    front: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Start a program, with the tests importable; *front* is a command that executes it."""
    return subprocess.Popen(
        [*front, sys.executable, *options, "-c", dedent(code), *arguments],
        cwd=ROOT,
        env=clean_env({"PYTHONPATH": str(ROOT), **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(program: subprocess.Popen[str], timeout_s: float = 240.0) -> Finished:
    """Wait for the end of a program.

    Raises:
        AssertionError: It failed, or it did not end; what it said is in the message.
    """
    end = ""
    try:
        out, log = program.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        end = f"the program did not end within {timeout_s:g} s"
        _kill_family(program)
        out, log = program.communicate()
    finally:
        _kill_family(program)
    assert not end, f"{end}:\n{out}\n{log}"
    assert program.returncode == 0, f"the program ended with {program.returncode}:\n{out}\n{log}"
    return Finished(program.returncode, out.splitlines(), log)


def _kill_family(program: subprocess.Popen[str]) -> None:
    """Kill the program and whatever it has left behind, which may hold its pipes open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def run(
    code: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 240.0,
    front: Sequence[str] = (),
) -> Finished:
    """Run a program to its end."""
    return finish(start(code, *arguments, env=env, front=front), timeout_s)
