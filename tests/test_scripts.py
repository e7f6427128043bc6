"""The set-up scripts say what is missing and how to get it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).parent.parent / "scripts"


def run(script: str, *arguments: str, tools: Path) -> subprocess.CompletedProcess[str]:
    path = f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin"
    command = [str(SCRIPTS / script), *arguments]
    return subprocess.run(command, env={"PATH": path}, capture_output=True, text=True)


def stub(directory: Path, name: str, body: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{body}\n")
    (directory / name).chmod(0o755)


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("require-venv", "python9", tools=tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        "PYTHON=python9 was not found; install Python 3.10 or later, or name another one: "
        "make PYTHON=/path/to/python3\n"
    )


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    stub(tmp_path, "python3", 'case "$1" in -V) echo Python 3.9.2 ;; *) exit 1 ;; esac')

    done = run("require-venv", "python3", tools=tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        "PYTHON=python3 is Python 3.9.2; expected Python 3.10 or later, name another one: "
        "make PYTHON=/path/to/python3\n"
    )


def test_a_python_without_venv_has_its_remedy_told_to_who_is_not_root(tmp_path: Path) -> None:
    stub(tmp_path, "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    stub(tmp_path, "id", "echo 1000")

    done = run("require-venv", "python3", tools=tmp_path)

    assert done.returncode == 1
    assert done.stderr == (
        "python3 cannot make a virtual environment; on Debian and Ubuntu: sudo apt-get install python3-venv\n"
    )


def test_a_server_that_is_there_is_not_installed_again(tmp_path: Path) -> None:
    stub(tmp_path, "tsdb-serve", "exit 0")

    done = run("install-server", "tsdb", "tsdb-serve", tools=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_server_that_is_missing_has_its_remedy_told_to_who_is_not_root(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 1000")

    done = run("install-server", "tsdb", "tsdb-serve", tools=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "tsdb is not installed: tests that need it are skipped; on Debian: sudo apt-get install tsdb\n"
    )


def test_a_server_is_installed_by_root(tmp_path: Path) -> None:
    stub(tmp_path, "id", "echo 0")
    stub(tmp_path, "apt-get", f'echo "$@" >>{tmp_path}/done')

    done = run("install-server", "tsdb", "tsdb-serve", tools=tmp_path)

    assert (done.returncode, done.stdout) == (0, "installing Debian's tsdb\n")
    assert (tmp_path / "done").read_text() == "update\ninstall --yes --no-install-recommends tsdb\n"
