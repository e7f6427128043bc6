"""Change the core in small ways, one at a time, and see whether a test notices each change.

Usage: python scripts/mutants.py [--sample N] [--seed N] [--again] [PACKAGE | MODULE ...]

Without names a sample is taken over all of `cells`, `exposition`, `http` and `settings`; with names, such as
`cells` or `otel_obs/cells/summation.py`, over these. Cosmic Ray makes the changes, in a copy of the tree
below `build/mutants/`, and each is tried with the tests of its package, up to the first that fails. What no
test noticed is printed with its difference, and the score of each package. `--again` tries only what the
last run left unnoticed.

A sample has at most one change of each kind at each place, so that a comparison, which can be changed in
nine ways, counts as often as anything else. What cannot change a result is not tried: annotations, what only
a type checker reads, the arguments of log calls, and `is` for `==`.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"
TREE = BUILD / "tree"
TIMEOUT_S = 1800.0
HANGS_AFTER_S = 120
"""A test that takes longer than that hangs by the change, and so notices it."""

SAMPLE = 60

PACKAGES = ("cells", "exposition", "http", "settings")

LEFT_OUT = {
    "cells": ("mutations",),
    "exposition": ("growth", "lag", "openmetrics2_scraped", "prometheus"),
    "http": ("oracles", "oracles_beyond", "servers"),
}
"""Of each package the tests that need a server or minutes."""

LAST = {"http": ("bounded", "generated")}
"""Tests that take long for what they notice: tried where the others notice nothing."""


SURVIVORS = BUILD / "survivors.json"
"""What the last run left unnoticed, by module: what Cosmic Ray needs to make it again."""

EQUAL = (
    "core/ReplaceBinaryOperator_BitOr_%",  # most `|` stand in annotations, which nobody evaluates
    "core/ReplaceComparisonOperator_Is_Eq",
    "core/ReplaceComparisonOperator_IsNot_NotEq",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
)
"""Kinds of changes that change nothing."""

UNREAD_DECORATORS = {"abstractmethod", "overload", "override", "runtime_checkable"}
LOGGERS = {"_logger", "_once"}


class Mutant(NamedTuple):
    """One change, and whether a test noticed it."""

    module: str
    line: int
    operator: str
    occurrence: int
    outcome: str
    diff: str

    @property
    def package(self) -> str:
        """The package of the changed module."""
        return Path(self.module).parent.name


class Job(NamedTuple):
    """One change that can be made."""

    id: str
    line: int
    column: int
    operator: str
    occurrence: int

    @property
    def place(self) -> tuple[int, int, str]:
        """Where it is, and of what kind, without the variant: `core/ReplaceComparisonOperator`."""
        return self.line, self.column, self.operator.partition("_")[0]


def modules() -> list[Path]:
    """The modules of the core, relative to the root."""
    found = (path for package in PACKAGES for path in (ROOT / "otel_obs" / package).glob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def chosen_modules(names: Sequence[Path]) -> list[Path]:
    """The modules that *names* name, a package by all of its modules; all where there are no names.

    Raises:
        SystemExit: A name is neither a package of the core nor one of its modules.
    """
    known, chosen = modules(), []
    for name in names:
        found = [path for path in known if name in (path, Path(path.parent.name))]
        if not found:
            raise SystemExit(f"{name} is none of {', '.join(PACKAGES)}, and no module of these")
        chosen += found
    return chosen or known


def test_command(module: Path) -> str:
    """How *module* is tested: by the test that mirrors it, and then, where that notices nothing, by all."""
    package = module.parent.name
    folder = Path("tests", package)
    if not (ROOT / folder).is_dir():
        runs = [[f"tests/test_{package}.py"]]
    else:
        last = [f"{folder}/test_{name}.py" for name in LAST.get(package, ())]
        skipped = [*last, *(f"{folder}/test_{name}.py" for name in LEFT_OUT[package])]
        runs = [[str(folder), *(f"--ignore={name}" for name in skipped)], *([last] if last else [])]
        mirror = folder / f"test_{module.name}"
        runs[:0] = [[str(mirror)]] if (ROOT / mirror).exists() else []
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["--hypothesis-seed=0", f"--timeout={HANGS_AFTER_S}"]
    return shlex.join(["sh", "-c", " && ".join(shlex.join([*command, *run]) for run in runs)])


def without_effect(module: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """The spans of the source of *module* in which no change can change a result."""
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        for each in _unread(node):
            yield (each.lineno, each.col_offset), (each.end_lineno or 0, each.end_col_offset or 0)


def _unread(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """The parts of *node* that only a type checker or a reader of logs reads."""
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.annotation
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from filter(None, (node.returns,))
        yield from (each for each in node.decorator_list if ast.unparse(each) in UNREAD_DECORATORS)
    elif isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases):
        yield node
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        yield node.test
        yield from node.body if ast.unparse(node.test) == "TYPE_CHECKING" else ()
    elif isinstance(node, ast.Call) and ast.unparse(node.func).partition(".")[0] in LOGGERS:
        yield from node.args


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

    def begin(self) -> list[Job]:
        """Find the changes that are worth a try."""
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
        spans = list(without_effect(self.module))
        with closing(sqlite3.connect(self.file)) as session, session:
            for pattern in EQUAL:
                session.execute("DELETE FROM mutation_specs WHERE operator_name LIKE ?", [pattern])
            found = session.execute(
                "SELECT job_id, start_pos_row, start_pos_col, operator_name, occurrence FROM mutation_specs "
                "ORDER BY operator_name, occurrence"
            )
            jobs = [Job(*row) for row in found]
        return [job for job in jobs if not any(a <= (job.line, job.column) < b for a, b in spans)]

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
            for line, operator, occurrence, outcome, test_outcome, diff in session.execute(
                "SELECT start_pos_row, operator_name, occurrence, worker_outcome, test_outcome, diff "
                "FROM mutation_specs JOIN work_results USING (job_id) ORDER BY start_pos_row"
            ):
                done = test_outcome if outcome == "NORMAL" else outcome
                yield Mutant(str(self.module), line, operator, occurrence, done, diff or "")

    def _cosmic_ray(self, verb: str, has_session: bool = True) -> int:
        command = [str(Path(sys.executable).parent / "cosmic-ray"), verb, str(self._config)]
        files = [str(self.file)] if has_session else []
        # For the processes that tests start in other directories: what is installed is the unchanged tree.
        environment = {**os.environ, "PYTHONPATH": str(TREE)}
        done = subprocess.run([*command, *files], cwd=TREE, capture_output=True, text=True, env=environment)
        if done.returncode and verb != "baseline":
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        return done.returncode


def sampled(found: dict[Path, list[Job]], size: int, seed: int) -> dict[Path, set[str]]:
    """As many changes of *found* as *size*, at most one of each kind at a place; all places are alike."""
    chance = random.Random(seed)
    places: dict[tuple[Path, tuple[int, int, str]], list[Job]] = {}
    for module, jobs in sorted(found.items()):
        for job in jobs:
            places.setdefault((module, job.place), []).append(job)
    chosen: dict[Path, set[str]] = {}
    for module, place in chance.sample(list(places), min(size, len(places))):
        chosen.setdefault(module, set()).add(chance.choice(places[module, place]).id)
    return chosen


def left_over(found: dict[Path, list[Job]]) -> dict[Path, set[str]]:
    """The changes that the last run left unnoticed."""
    left = {(module, operator, at) for module, operator, at in json.loads(SURVIVORS.read_text())}
    chosen: dict[Path, set[str]] = {}
    for module, jobs in found.items():
        for job in jobs:
            if (str(module), job.operator, job.occurrence) in left:
                chosen.setdefault(module, set()).add(job.id)
    return chosen


def tell_survivors(mutants: Iterable[Mutant]) -> None:
    """Print what nobody noticed."""
    for mutant in mutants:
        if mutant.outcome == "SURVIVED":
            print(f"\n{mutant.module}:{mutant.line} {mutant.operator}\n{mutant.diff}", flush=True)


def tell_scores(mutants: Sequence[Mutant]) -> None:
    """Print the score of each package, and keep what nobody noticed for `--again`."""
    left = [mutant for mutant in mutants if mutant.outcome == "SURVIVED"]
    SURVIVORS.write_text(json.dumps([(each.module, each.operator, each.occurrence) for each in left]))
    for package in sorted({mutant.package for mutant in mutants}):
        tried = sum(mutant.package == package for mutant in mutants)
        noticed = tried - sum(mutant.package == package for mutant in left)
        print(f"{package}: {noticed} of {tried} changes were noticed")


def main(arguments: Sequence[str]) -> None:
    """Try a sample of changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many changes; {SAMPLE} by default")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which ones")
    parser.add_argument("--again", action="store_true", help="what the last run left unnoticed")
    parser.add_argument("names", nargs="*", type=Path)
    given = parser.parse_args(arguments)

    copy_tree()
    sessions = {module: Session(module) for module in chosen_modules(given.names)}
    found = {module: session.begin() for module, session in sessions.items()}
    chosen = left_over(found) if given.again else sampled(found, given.sample, given.seed)
    total_tried, total = sum(map(len, chosen.values())), sum(map(len, found.values()))
    print(f"{total_tried} of {total} changes in {len(found)} modules, --seed {given.seed}", flush=True)
    mutants: list[Mutant] = []
    for module in {module.parent: module for module in chosen}.values():
        sessions[module].check()  # one of each package: what they run is the same
    for module, jobs in sorted(chosen.items()):
        sessions[module].try_only(jobs)
        tried = list(sessions[module].mutants())
        mutants += tried
        print(f"{module}: {len(tried)} tried, {len(mutants)} of {total_tried} so far", flush=True)
        tell_survivors(tried)
    tell_scores(mutants)


if __name__ == "__main__":
    main(sys.argv[1:])
