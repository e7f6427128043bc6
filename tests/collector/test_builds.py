"""`scripts/go-build`: once, into a cache outside the tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.collector import ROOT

SCRIPT = ROOT / "scripts" / "go-build"
BUILD = ("sh", "-c", "echo building >>$LOG; sleep ${SLOW:-0}; touch tool; chmod +x tool")


class Builder:
    """Runs the script with a Go that says it is of some version."""

    def __init__(self, directory: Path, go: str = "go1.26.1") -> None:
        self.cache = directory / "cache" / "otel-obs"
        self.log = directory / "log"
        (directory / "go").write_text(f"#!/bin/sh\necho {go}\n")
        (directory / "go").chmod(0o755)
        self.env = {
            "PATH": f"{directory}:/usr/bin:/bin",
            "XDG_CACHE_HOME": str(directory / "cache"),
            "LOG": str(self.log),
        }

    def start(self, *arguments: str, command: tuple[str, ...] = BUILD, **env: str) -> subprocess.Popen[str]:
        """Start one build."""
        return subprocess.Popen(
            [SCRIPT, *arguments, "tool", "--", *command],
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, command: tuple[str, ...] = BUILD) -> tuple[int, str, str]:
        """The status, what was printed, and the messages of one build."""
        process = self.start(*arguments, command=command)
        printed, said = process.communicate(timeout=30)
        return process.returncode, printed.strip(), said

    def builds(self) -> int:
        """How often something was built."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


def test_builds_once_and_prints_where(builder: Builder) -> None:
    status, directory, said = builder.run("it", "version 1")
    assert status == 0
    assert Path(directory).parent == builder.cache
    assert [path.name for path in Path(directory).iterdir()] == ["tool"]
    assert said.startswith("building it; the first time takes about five minutes\nbuilt it in ")

    assert builder.run("it", "version 1") == (0, directory, "")
    assert builder.builds() == 1


def test_another_key_is_another_build(builder: Builder) -> None:
    _, first, _ = builder.run("it", "version 1")
    _, second, _ = builder.run("it", "version 2")
    assert first != second
    assert builder.builds() == 2


def test_to_find_builds_nothing(builder: Builder) -> None:
    assert builder.run("--find", "it", "version 1") == (3, "", "")
    _, directory, _ = builder.run("it", "version 1")
    assert builder.run("--find", "it", "version 1") == (0, directory, "")


def test_two_at_once_build_once(builder: Builder) -> None:
    both = [builder.start("it", "version 1", SLOW="1") for _ in range(2)]
    printed = {process.communicate(timeout=30)[0] for process in both}
    assert len(printed) == 1
    assert builder.builds() == 1


def test_a_build_that_fails_says_why_and_leaves_nothing(builder: Builder) -> None:
    status, printed, said = builder.run(
        "it", "version 1", command=("sh", "-c", "echo no such module; exit 7")
    )
    assert (status, printed) == (1, "")
    assert said.splitlines()[1:] == ["no such module", "building it failed: its last lines are above"]
    assert not [path for path in builder.cache.iterdir() if path.is_dir()]


def test_an_old_go_is_refused(tmp_path: Path) -> None:
    status, printed, said = Builder(tmp_path, "go1.24.9").run("it", "version 1")
    assert (status, printed) == (3, "")
    assert said == (
        "it cannot be built: Go 1.25 or later was not found; install it from https://go.dev/dl/\n"
    )
