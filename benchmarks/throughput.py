"""What measuring takes off the throughput of gunicorn with Flask and uvicorn with FastAPI, loaded by wrk.

Usage: python -m benchmarks.throughput [PAIRS [SECONDS]]     prints every pair, the median and the spread
       python -m benchmarks throughput                       only the medians, in the driver's table

The handler burns a millisecond of processor time. A bare service and a measured one run side by side, one
worker each; wrk loads them in turn, and which goes first alternates, so that whatever slows the machine down
slows both. Where there are two processors, the services have one and wrk has another. Needs wrk; on Debian:
`scripts/apt-install wrk`. Run it on an idle machine: a spread beyond the goal says that this one was not.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PAIRS = 9
SECONDS = 3
CONNECTIONS = 4
START_S = 30.0
PATH = "/burn/7"
GOAL_PERCENT = 2.0
SPREAD_GOAL_PERCENT = 2.0

IS_QUICK = bool(os.environ.get("OTEL_OBS_BENCH_QUICK"))

COMMANDS = {
    "Flask under gunicorn": (
        *(sys.executable, "-m", "gunicorn", "--workers", "1", "--log-level", "error"),
        *("--bind", "127.0.0.1:{port}", "benchmarks._burning:{kind}_flask()"),
    ),
    "FastAPI under uvicorn": (
        *(sys.executable, "-m", "uvicorn", "--log-level", "error", "--no-access-log"),
        *("--port", "{port}", "--factory", "benchmarks._burning:{kind}_fastapi"),
    ),
}


class Pair(NamedTuple):
    """Requests a second, one after the other."""

    bare: float
    measured: float

    @property
    def lost_percent(self) -> float:
        """What measuring takes off; below zero where noise gave instead."""
        return 100 * (1 - self.measured / self.bare)


class Outcome(NamedTuple):
    """All pairs of one server."""

    what: str
    pairs: list[Pair]

    @property
    def median(self) -> float:
        """The median of what is lost, in percent."""
        return statistics.median(pair.lost_percent for pair in self.pairs)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which half of the pairs are, in percent."""
        low, _, high = statistics.quantiles((pair.lost_percent for pair in self.pairs), n=4)
        return low, high


def processors() -> tuple[set[int], set[int]]:
    """Those of the services, and those of wrk."""
    ours = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ({ours[0]}, {ours[1]}) if len(ours) > 1 else (set(ours), set(ours))


def pinned(command: Sequence[str], cpus: set[int]) -> list[str]:
    """The command, on these processors only where `taskset` is there to say so."""
    taskset = shutil.which("taskset")
    if taskset is None or not cpus:
        return list(command)
    return [taskset, "--cpu-list", ",".join(map(str, sorted(cpus))), *command]


@contextlib.contextmanager
def serving(command: Sequence[str], kind: str, cpus: set[int]) -> Iterator[str]:
    """A service of its own, and its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    filled = [part.replace("{port}", str(port)).replace("{kind}", kind) for part in command]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "_OTEL_"))}
    process = subprocess.Popen(pinned(filled, cpus), env=env, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url + PATH, process)
        yield url
    finally:
        process.terminate()
        process.wait(START_S)


def wait_for(url: str, process: subprocess.Popen[bytes], start_s: float = START_S) -> None:
    """Wait until the service answers.

    Raises:
        RuntimeError: It has ended, or does not answer in time.
    """
    deadline_s = time.monotonic() + start_s
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=START_S):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer: its service ended with {process.poll()} or is too slow")


def load(url: str, seconds: int, cpus: set[int]) -> float:
    """Requests a second that a service answers.

    Raises:
        RuntimeError: wrk is not there, or had an answer that was none.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed; on Debian install it with: scripts/apt-install wrk")
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url + PATH]
    said = subprocess.run(pinned(command, cpus), check=True, capture_output=True, text=True).stdout
    found = re.search(r"^Requests/sec:\s+([\d.]+)$", said, re.MULTILINE)
    if found is None or "Non-2xx" in said:
        raise RuntimeError(f"wrk had no good answers from {url}:\n{said}")
    return float(found[1])


def compare(what: str, pairs: int = PAIRS, seconds: int = SECONDS) -> Outcome:
    """Load the bare and the measured service in turn."""
    command, (ours, theirs) = COMMANDS[what], processors()
    done: list[Pair] = []
    with serving(command, "bare", ours) as bare, serving(command, "measured", ours) as measured:
        for url in (bare, measured):
            load(url, 1, theirs)
        for number in range(pairs):
            order = (bare, measured) if number % 2 == 0 else (measured, bare)
            rates = {url: load(url, seconds, theirs) for url in order}
            done.append(Pair(rates[bare], rates[measured]))
    return Outcome(what, done)


def run() -> list[tuple[str, float, float]]:
    """Measure both servers."""
    outcomes = [compare(what, 3 if IS_QUICK else PAIRS, 1 if IS_QUICK else SECONDS) for what in COMMANDS]
    rows = []
    for outcome in outcomes:
        low, high = outcome.quartiles
        rows.append((f"{outcome.what}, throughput lost, % (median)", outcome.median, GOAL_PERCENT))
        rows.append((f"{outcome.what}, spread of its pairs, % (quartiles)", high - low, SPREAD_GOAL_PERCENT))
    return rows


def describe(outcome: Outcome) -> str:
    """Every pair, the median and the spread, for people."""
    lines = [f"{outcome.what}, requests a second:", f"  {'bare':>10}{'measured':>10}{'lost':>9}"]
    lines += [
        f"  {bare:>10.1f}{measured:>10.1f}{Pair(bare, measured).lost_percent:>+8.2f}%"
        for bare, measured in outcome.pairs
    ]
    low, high = outcome.quartiles
    verdict = "ok" if outcome.median <= GOAL_PERCENT else "OVER"
    lines.append(
        f"  median of {len(outcome.pairs)}: {outcome.median:+.2f}% lost, goal at most {GOAL_PERCENT:g}%: "
        f"{verdict}; half of the pairs are between {low:+.2f}% and {high:+.2f}%"
    )
    if high - low > SPREAD_GOAL_PERCENT:
        lines.append("  the pairs differ too much to say it: run it again when the machine is idle")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Measure and print all of it."""
    pairs = int(arguments[0]) if arguments else PAIRS
    seconds = int(arguments[1]) if len(arguments) > 1 else SECONDS
    for what in COMMANDS:
        print(describe(compare(what, pairs, seconds)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
