"""What is swept is known to be dead: a directory without members lives as long as a process that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_obs.host import proc
from otel_obs.rundir.directory import RunDir, open_run_dir
from otel_obs.rundir.roots import ROOT, STARTER, file_name, is_alive, recorded
from otel_obs.rundir.tidying import DOUBT, DOUBTFUL_S, leave, sweep

NONCE = "0123456789abcdef"


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which ends when its input does."""
    command = [sys.executable, "-S", "-c", "input()"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.communicate()


def left_to(base: Path, *names: str) -> RunDir:
    """A directory without members in which there are these files."""
    run_dir = open_run_dir([str(base)], NONCE)
    run_dir.note(names)
    run_dir.close()
    return run_dir


def is_swept(base: Path, run_dir: RunDir) -> bool:
    sweep([str(base)])
    return not os.path.exists(run_dir.path)


def name_of(pid: int, ending: str = ROOT) -> str:
    process = proc.look_up(pid)
    assert process is not None
    return file_name(process, ending)


@pytest.mark.parametrize("ending", [ROOT, STARTER])
def test_it_lives_as_long_as_its_root(ending: str, tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    run_dir = left_to(tmp_path, name_of(other.pid, ending))
    assert not is_swept(tmp_path, run_dir)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has waited for it
    assert is_swept(tmp_path, run_dir)


def test_a_number_that_was_given_to_another_is_nobodys(
    tmp_path: Path, other: subprocess.Popen[bytes]
) -> None:
    process = proc.look_up(other.pid)
    assert process is not None
    for changed in (process._replace(start="1"), process._replace(image="0" * 16)):
        run_dir = left_to(tmp_path, file_name(changed, ROOT))
        assert is_swept(tmp_path, run_dir)


def test_of_another_boot_nobody_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = name_of(os.getpid())
    run_dir = left_to(tmp_path, name)
    assert not is_swept(tmp_path, run_dir)
    monkeypatch.setattr(proc, "boot", lambda: "another boot")
    assert is_swept(tmp_path, run_dir)


def test_of_another_namespace_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "pid_namespace", lambda: "pid1")
    run_dir = left_to(tmp_path, name_of(os.getpid()))
    monkeypatch.setattr(proc, "pid_namespace", lambda: "pid2")
    assert [is_swept(tmp_path, run_dir) for _ in range(2)] == [False, False]
    doubt = Path(run_dir.path, DOUBT)
    os.utime(doubt, (doubt.stat().st_mtime - DOUBTFUL_S - 1,) * 2)
    assert is_swept(tmp_path, run_dir)


def test_the_last_one_out_leaves_it_to_a_root(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    run_dir.note([name_of(other.pid)])
    assert leave([run_dir]) == [run_dir]
    assert os.path.exists(run_dir.path)
    again = open_run_dir([str(tmp_path)], NONCE)
    assert leave([again], lambda root: root.pid == other.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_proc_hides_is_asked_for_by_its_inode(
    monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(proc, "look_up", lambda pid: None)
    (root,) = recorded([file_name(proc.unseen(other.pid), ROOT)], ROOT)
    assert is_alive(root) is True
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(root) is False
    other.wait()
    assert is_alive(root) is False


@pytest.mark.parametrize("name", ["x.root", "1-2-3.root", "a-1-2-3.root", "members", "1-2-3-4.leaving"])
def test_names_that_say_nothing_of_a_root(name: str) -> None:
    assert recorded([name], ROOT) == []
