"""Run every benchmark in a process of its own and print one table.

Usage: python -m benchmarks [--quick] [--runs N] [NAME ...]

A benchmark is a module of this package that has a function `run()`, without parameters, that returns a list
of `(what, measured, goal)`; it is good where measured is at most goal. Each runs several times, and the table
has the medians. The exit code is 1 if one is over its goal or failed. `--quick` runs each once, with
`OTEL_OBS_BENCH_QUICK=1` in its environment, which a benchmark may take as leave to measure less.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import benchmarks

CHILD = """
import importlib, json, sys
module = importlib.import_module(sys.argv[1])
print(json.dumps(getattr(module, "run", list)()))
"""
PRIVATE = "_"


class Result(NamedTuple):
    """The median of one measurement."""

    what: str
    measured: float
    goal: float

    @property
    def is_ok(self) -> bool:
        """Whether the goal is met."""
        return self.measured <= self.goal


class BenchmarkError(Exception):
    """A benchmark ended without a result; the message is what it printed."""


def find_benchmarks(names: Sequence[str]) -> list[str]:
    """The modules to run: those named, or all.

    Raises:
        BenchmarkError: There is no benchmark of that name.
    """
    found = [name for _, name, _ in pkgutil.iter_modules(benchmarks.__path__) if not name.startswith(PRIVATE)]
    for name in names:
        if name not in found:
            raise BenchmarkError(f"{name!r} is no benchmark; expected one of {', '.join(found)}")
    return list(names) or found


def run_once(name: str, quick: bool) -> list[tuple[str, float, float]]:
    """Run a benchmark in a fresh process.

    Raises:
        BenchmarkError: It failed.
    """
    env = {**os.environ, "OTEL_OBS_BENCH_QUICK": "1" if quick else ""}
    command = [sys.executable, "-c", CHILD, f"benchmarks.{name}"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchmarkError(f"{name} failed:\n{done.stderr.strip()}")
    return [(what, measured, goal) for what, measured, goal in json.loads(done.stdout.splitlines()[-1])]


def medians(runs: Iterable[Sequence[tuple[str, float, float]]]) -> list[Result]:
    """One result for each measurement, over all runs of a benchmark."""
    by_what: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        for what, measured, goal in run:
            by_what.setdefault(what, []).append((measured, goal))
    return [
        Result(what, statistics.median(measured for measured, _ in values), values[0][1])
        for what, values in by_what.items()
    ]


def write_table(title: str, results: Sequence[Result]) -> str:
    """The rows of one benchmark."""
    rows = [
        f"  {what:<60}{measured:>10.3g}{goal:>10.3g}   {'ok' if measured <= goal else 'OVER'}"
        for what, measured, goal in results
    ]
    return "\n".join([title, *rows])


def main(arguments: Sequence[str]) -> int:
    """Run and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which benchmarks; all of them if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="one run each, which may measure less")
    parser.add_argument("--runs", type=int, default=3, help="how often each runs (3)")
    options = parser.parse_args(arguments)
    all_ok = True
    print(f"  {'':<60}{'measured':>10}{'goal':>10}")
    try:
        for name in find_benchmarks(options.names):
            results = medians(
                run_once(name, options.quick) for _ in range(1 if options.quick else options.runs)
            )
            print(write_table(name, results), flush=True)
            all_ok = all_ok and all(result.is_ok for result in results)
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0 if all_ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
