"""Change the core in small ways, one at a time, and see whether a test notices each change.

Usage: python scripts/mutants.py [--sample N] [--seed N] [--minutes N] [--again] [PACKAGE | MODULE ...]

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
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"
TREE = BUILD / "tree"
SURVIVORS = BUILD / "survivors.json"
"""What the last run left unnoticed."""

SAMPLE = 60
TIMEOUT_S = 1800.0
HANGS_AFTER_S = 120
"""A test that takes longer than that hangs by the change, and so notices it."""

PACKAGES = ("cells", "exposition", "http", "settings")

LEFT_OUT = {
    "exposition": ("growth", "lag", "openmetrics2_scraped", "prometheus"),
    "http": ("oracles", "oracles_beyond", "servers"),
}
"""Of each package the tests that need a server or minutes."""

LAST = {"cells": ("mutations",), "http": ("bounded", "generated")}
"""Tests that take long for what they notice: tried where the others notice nothing."""


EQUAL = (
    "core/ReplaceBinaryOperator_BitOr_",  # most `|` stand in annotations, which nobody evaluates
    "core/ReplaceComparisonOperator_Is_Eq",
    "core/ReplaceComparisonOperator_IsNot_NotEq",
    "core/ReplaceComparisonOperator_Eq_Is",
    "core/ReplaceComparisonOperator_NotEq_IsNot",
)
"""How the names of the changes begin that change nothing."""

UNREAD_DECORATORS = {"abstractmethod", "overload", "override", "runtime_checkable"}
LOGGERS = {"_logger", "_once"}


class SmallChange(NamedTuple):
    """One change, as Cosmic Ray counts it: by its operator, and how often that could be applied before."""

    module: str
    operator: str
    occurrence: int
    line: int
    column: int
    end: tuple[int, int]

    @property
    def place(self) -> tuple[str, int, int, str]:
        """Where it is, and of what kind, without the variant: `core/ReplaceComparisonOperator`."""
        return self.module, self.line, self.column, self.operator.partition("_")[0]

    @property
    def package(self) -> str:
        """The package of the module."""
        return Path(self.module).parent.name


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
        skipped = [*last, *(f"{folder}/test_{name}.py" for name in LEFT_OUT.get(package, ()))]
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
    elif isinstance(node, ast.Call):
        called = ast.unparse(node.func).partition(".")[0]
        yield from node.args if called in LOGGERS else ()
        yield from (each.value for each in node.keywords if called in ("ParamSpec", "TypeVar"))


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


def changes_of(module: Path) -> Iterator[SmallChange]:
    """The changes of one module that may change a result."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    spans = list(without_effect(module))
    nodes = list(ast_nodes(get_ast_from_path(TREE / module)))
    for name in sorted(operator_names()):
        kind = get_operator(name)
        if name.startswith(EQUAL) or kind.arguments():
            continue
        operator = kind()
        places = (place for node in nodes for place in operator.mutation_positions(node))
        for occurrence, (start, end) in enumerate(places):
            if not any(first <= start < last for first, last in spans):
                yield SmallChange(str(module), name, occurrence, start[0], start[1], end)


def sampled(found: Iterable[SmallChange], size: int, seed: int) -> list[SmallChange]:
    """As many of *found* as *size*, at most one of each kind at a place; all places are alike."""
    chance = random.Random(seed)
    places: dict[tuple[str, int, int, str], list[SmallChange]] = {}
    for change in found:
        places.setdefault(change.place, []).append(change)
    return [chance.choice(places[place]) for place in chance.sample(list(places), min(size, len(places)))]


def check(package: str, module: Path) -> None:
    """See that the tests of *package* pass without any change.

    Raises:
        SystemExit: They fail.
    """
    done = subprocess.run(shlex.split(test_command(module)), cwd=TREE, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"without any change the tests of {package} fail:\n{done.stdout[-4000:]}")


def is_noticed(change: SmallChange) -> bool:
    """Make *change*, run the tests, and take it back; one that no test notices is printed."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_item import MutationSpec

    start = change.line, change.column
    spec = MutationSpec(TREE / change.module, change.operator, change.occurrence, start, change.end)
    result = mutate_and_test([spec], test_command(Path(change.module)), TIMEOUT_S)
    if not result.is_killed:
        print(f"\n{change.module}:{change.line} {change.operator}\n{result.diff}", flush=True)
    return bool(result.is_killed)


def main(arguments: Sequence[str]) -> None:
    """Try a sample of changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sample", type=int, default=SAMPLE, help=f"how many changes; {SAMPLE} by default")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="which ones")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further change after that time")
    parser.add_argument("--again", action="store_true", help="what the last run left unnoticed")
    parser.add_argument("names", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    until_s = time.monotonic() + 60 * given.minutes

    copy_tree()
    os.chdir(TREE)
    # For the processes that tests start in other directories: what is installed is the unchanged tree.
    os.environ["PYTHONPATH"] = str(TREE)
    found = [change for module in chosen_modules(given.names) for change in changes_of(module)]
    if given.again:
        left = {tuple(each) for each in json.loads(SURVIVORS.read_text())}
        chosen = [change for change in found if change[:3] in left]
    else:
        chosen = sampled(found, given.sample, given.seed)
    print(f"{len(chosen)} of {len(found)} changes, --seed {given.seed}", flush=True)
    for package, module in {change.package: Path(change.module) for change in chosen}.items():
        check(package, module)
    tried: list[SmallChange] = []
    survivors: list[SmallChange] = []
    for change in chosen:
        if time.monotonic() > until_s:
            break
        tried.append(change)
        if not is_noticed(change):
            survivors.append(change)
    SURVIVORS.write_text(json.dumps([change[:3] for change in survivors]))
    missed = Counter(change.package for change in survivors)
    for package, count in sorted(Counter(change.package for change in tried).items()):
        print(f"{package}: {count - missed[package]} of {count} changes were noticed")


if __name__ == "__main__":
    main(sys.argv[1:])
