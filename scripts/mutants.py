"""Change the core in small ways, one at a time, and see whether a test notices each change.

Usage: python scripts/mutants.py [--sample N] [--seed N] [MODULE ...]

Without modules a sample is taken over all of `cells`, `exposition`, `http` and `settings`; with modules, such
as `otel_obs/cells/summation.py`, over these. Cosmic Ray makes the changes, in a copy of the tree below
`build/mutants/`. What no test noticed is printed with its difference, and the score.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"
TREE = BUILD / "tree"
TIMEOUT_S = 180.0
SAMPLE = 60

QUICK_TESTS = {
    "cells": "tests/cells --ignore tests/cells/test_mutations.py",
    "exposition": "tests/exposition --ignore tests/exposition/test_lag.py",
    "http": (
        "tests/http --ignore tests/http/test_servers.py --ignore tests/http/test_oracles.py "
        "--ignore tests/http/test_oracles_beyond.py"
    ),
    "settings": "tests/test_settings.py",
}
"""The tests of each package that need no server and take seconds."""

NOT_TRIED = ("core/ReplaceBinaryOperator_BitOr_%",)
"""Changes that change nothing: most `|` stand in annotations, which nobody evaluates."""


class Mutant(NamedTuple):
    """One change, and whether a test noticed it."""

    module: str
    line: int
    operator: str
    outcome: str
    diff: str


def modules() -> list[Path]:
    """The modules of the core, relative to the root."""
    found = (path for package in QUICK_TESTS for path in (ROOT / "otel_obs" / package).glob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def test_command(module: Path) -> str:
    """How *module* is tested: by the test that mirrors it, and then, where that notices nothing, by all."""
    package = module.parent.name
    mirror = Path("tests", package, f"test_{module.name}")
    runs = [str(mirror)] if (ROOT / mirror).exists() else []
    options = "-m pytest -x -q -p no:cacheprovider --hypothesis-seed=0"
    commands = [f"{sys.executable} {options} {tests}" for tests in (*runs, QUICK_TESTS[package])]
    return shlex.join(["sh", "-c", " && ".join(commands)])


def copy_tree() -> None:
    """Copy what the tests need, as it is in the working tree, committed or not."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "otel_obs",
            "tests",
            "*.toml",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)


class Session:
    """All changes of one module."""

    def __init__(self, module: Path) -> None:
        self.module = module
        name = ".".join(module.with_suffix("").parts)
        self._config, self.file = BUILD / f"{name}.toml", BUILD / f"{name}.sqlite"

    def begin(self) -> list[str]:
        """Find the changes that there are, and give their ids."""
        settings = {
            "module-path": [str(self.module)],
            "timeout": TIMEOUT_S,
            "excluded-modules": [],
            "test-command": test_command(self.module),
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        distributor = ["[cosmic-ray.distributor]", 'name = "local"']
        self._config.write_text("\n".join(["[cosmic-ray]", *lines, *distributor, ""]))
        self.file.unlink(missing_ok=True)
        self._cosmic_ray("init")
        with closing(sqlite3.connect(self.file)) as session, session:
            for pattern in NOT_TRIED:
                session.execute("DELETE FROM mutation_specs WHERE operator_name LIKE ?", [pattern])
            return [job for (job,) in session.execute("SELECT job_id FROM mutation_specs ORDER BY job_id")]

    def check(self) -> None:
        """See that the tests pass without any change.

        Raises:
            SystemExit: They fail.
        """
        if self._cosmic_ray("baseline", has_session=False):
            raise SystemExit(
                f"without any change the tests of {self.module} fail: {test_command(self.module)}"
            )

    def try_only(self, jobs: set[str]) -> None:
        """Make the changes *jobs*, one at a time, and run the tests with each."""
        with closing(sqlite3.connect(self.file)) as session, session:
            session.execute("CREATE TEMP TABLE wanted (job_id)")
            session.executemany("INSERT INTO wanted VALUES (?)", [(job,) for job in jobs])
            for table in ("mutation_specs", "work_items"):
                session.execute(f"DELETE FROM {table} WHERE job_id NOT IN (SELECT job_id FROM wanted)")
        self._cosmic_ray("exec")

    def mutants(self) -> Iterator[Mutant]:
        """What came of each change."""
        with closing(sqlite3.connect(self.file)) as session:
            for line, operator, outcome, test_outcome, diff in session.execute(
                "SELECT start_pos_row, operator_name, worker_outcome, test_outcome, diff "
                "FROM mutation_specs JOIN work_results USING (job_id) ORDER BY start_pos_row"
            ):
                done = test_outcome if outcome == "NORMAL" else outcome
                yield Mutant(str(self.module), line, operator, done, diff or "")

    def _cosmic_ray(self, verb: str, has_session: bool = True) -> int:
        command = [str(Path(sys.executable).parent / "cosmic-ray"), verb, str(self._config)]
        files = [str(self.file)] if has_session else []
        done = subprocess.run([*command, *files], cwd=TREE, capture_output=True, text=True)
        if done.returncode and verb != "baseline":
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.returncode


def sampled(found: dict[Path, list[str]], size: int, seed: int) -> dict[Path, set[str]]:
    """As many changes of *found* as *size*, each as likely as any other."""
    every = [(module, job) for module, jobs in sorted(found.items()) for job in jobs]
    chosen: dict[Path, set[str]] = {}
    for module, job in random.Random(seed).sample(every, min(size, len(every))):
        chosen.setdefault(module, set()).add(job)
    return chosen


def tell(mutants: Sequence[Mutant]) -> None:
    """Print what nobody noticed, and the score."""
    for mutant in mutants:
        if mutant.outcome == "SURVIVED":
            print(f"\n{mutant.module}:{mutant.line} {mutant.operator}\n{mutant.diff}")
    noticed = sum(mutant.outcome != "SURVIVED" for mutant in mutants)
    print(f"{noticed} of {len(mutants)} changes were noticed")


def main(arguments: Sequence[str]) -> None:
    """Try a sample of changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many changes; {SAMPLE} by default")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which ones")
    parser.add_argument("modules", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    known = modules()
    strange = [str(module) for module in given.modules if module not in known]
    if strange:
        parser.error(f"{', '.join(strange)}: no module of {', '.join(QUICK_TESTS)}, such as {known[0]}")

    copy_tree()
    sessions = {module: Session(module) for module in given.modules or known}
    found = {module: session.begin() for module, session in sessions.items()}
    chosen = sampled(found, given.sample, given.seed)
    total = sum(map(len, found.values()))
    print(
        f"{min(given.sample, total)} of {total} changes in {len(found)} modules, --seed {given.seed}",
        flush=True,
    )
    mutants: list[Mutant] = []
    for module in {module.parent: module for module in chosen}.values():
        sessions[module].check()  # one of each package: what they run is the same
    for module, jobs in sorted(chosen.items()):
        sessions[module].try_only(jobs)
        mutants += sessions[module].mutants()
        noticed = sum(mutant.outcome != "SURVIVED" for mutant in mutants)
        print(f"{module}: {len(jobs)} tried; {noticed} of {len(mutants)} noticed so far", flush=True)
    tell(mutants)


if __name__ == "__main__":
    main(sys.argv[1:])
