"""The run directory is private, joined by those who belong to it, and removed by the last one out."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otel_obs.rundir import directory as run_directories
from otel_obs.rundir.bases import default_bases
from otel_obs.rundir.directory import (
    MEMBERS,
    RunDir,
    UnusableDirectoryError,
    find_run_dirs,
    open_run_dir,
)
from otel_obs.rundir.identity import RUN_VARIABLE, decide, identify, this_candidate
from otel_obs.rundir.tidying import leave, sweep
from tests.support.processes import clean_env
from tests.support.programs import ROOT, run

NONCE = "0123456789abcdef"
COMMAND = ["python", "-m", "gunicorn", "app:app"]
SPAWNED = ["python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"]
TRACKER = ["python", "-c", "from multiprocessing.resource_tracker import main;main(5)"]


def test_a_directory_is_private_and_has_its_members(tmp_path: Path) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    path = tmp_path / f"otel-obs-{os.geteuid()}" / NONCE
    assert run_dir.path == str(path)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o700]
    assert run_dir.names() == [MEMBERS]
    assert [run_dir.claim("once"), run_dir.claim("once")] == [True, False]
    assert not run_dir.is_removed()
    leave([run_dir])
    assert list(tmp_path.iterdir()) == []


def test_the_last_one_out_removes_the_directory(tmp_path: Path) -> None:
    first, second = (open_run_dir([str(tmp_path)], NONCE) for _ in range(2))
    leave([first])
    assert os.path.isdir(second.path)
    leave([second])
    assert list(tmp_path.iterdir()) == []


def test_a_membership_that_a_fork_has_inherited_counts(tmp_path: Path) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    leave([run_dir])
    assert os.path.isdir(run_dir.path)
    os.close(writing)
    os.waitpid(pid, 0)
    sweep([str(tmp_path)])
    assert os.listdir(tmp_path / f"otel-obs-{os.geteuid()}") == []


def test_descriptors_that_a_daemon_has_closed_are_left_alone(tmp_path: Path) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    os.close(run_dir.members)
    os.close(run_dir.descriptor)
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    assert {run_dir.members, run_dir.descriptor} <= set(others)
    leave([run_dir])
    run_dir.close()
    for descriptor in others:
        os.close(descriptor)  # which fails where it was closed before


def test_a_sweep_removes_what_has_no_members_and_leaves_the_rest(tmp_path: Path) -> None:
    alive = open_run_dir([str(tmp_path)], NONCE)
    dead = open_run_dir([str(tmp_path)], "f" * 16)
    os.close(os.open("left.cells", os.O_CREAT | os.O_RDWR, dir_fd=dead.descriptor))
    dead.close()
    user = Path(alive.path).parent
    (user / ".unfinished").mkdir()
    (user / ".gone-1").mkdir()
    (user / ".gone-1" / "file").touch()
    (user / "not ours").mkdir()
    (user / "not ours" / "file").touch()
    sweep([str(tmp_path)])
    assert sorted(os.listdir(user)) == [NONCE, "not ours"]
    alive.close()


def test_a_directory_that_others_may_read_is_refused(tmp_path: Path) -> None:
    user = tmp_path / f"otel-obs-{os.geteuid()}"
    user.mkdir()
    user.chmod(0o755)
    with pytest.raises(UnusableDirectoryError, match=f"^{user} does not belong to this user alone$"):
        open_run_dir([str(tmp_path)], NONCE)
    assert find_run_dirs([str(tmp_path)], NONCE) == []


def test_no_place_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnusableDirectoryError, match="^there is no writable directory for it$"):
        open_run_dir([], NONCE)
    with pytest.raises(UnusableDirectoryError, match="missing: No such file or directory$"):
        open_run_dir([str(tmp_path / "missing")], NONCE)


def test_a_directory_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    os.rename(run_dir.path, run_dir.path + "-away")
    assert run_dir.is_removed()
    other = open_run_dir([str(tmp_path)], NONCE)
    assert run_dir.is_removed()
    assert not other.is_removed()
    run_dir.close()
    other.close()


def test_who_joins_whom() -> None:
    first: dict[str, str] = {}
    root = identify(first, COMMAND)
    assert root is not None
    assert not root.joined
    again, other = (identify(dict(first), command) for command in (COMMAND, ["python", "x.py"]))
    assert again is not None
    assert (again.nonce, again.joined, again.rule) == (root.nonce, True, "environment")
    assert other is not None
    assert not other.joined
    assert identify(dict(first), TRACKER) is None


def test_the_same_words_in_another_directory_are_another_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, str] = {}
    root = identify(first, COMMAND)
    assert root is not None
    pid = os.fork()
    if pid == 0:  # a process that executes itself keeps its number, wherever it goes
        os.chdir(tmp_path)
        found = identify(dict(first), COMMAND)
        os._exit(found is None or found.joined)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    monkeypatch.chdir(tmp_path)
    again = identify(dict(first), COMMAND)
    assert again is not None
    assert again.nonce == root.nonce


STARTS_ANOTHER = """
import os, subprocess, sys
from otel_obs import prometheus
prometheus.Counter("started", "Programs of this name").inc()
if len(sys.argv) == 1 and "INNER" not in os.environ:
    env = {**os.environ, "INNER": "1"}
    other = sys.path[0] + "/other"
    print(subprocess.check_output([sys.executable, "main.py"], cwd=other, env=env, text=True))
page = prometheus.generate_latest().decode().splitlines()
print([line for line in page if line.startswith("started_total")])
"""


def test_a_program_may_start_another_of_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for directory in (tmp_path, tmp_path / "other"):
        (directory / "main.py").write_text(STARTS_ANOTHER)
    env = clean_env({"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(tmp_path)})
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n") == ["['started_total 1.0']", "", "['started_total 1.0']", ""], done.stderr


@pytest.mark.parametrize("variable", ["", ":", "../../etc:0", "0123456789abcdeX:0", "0" * 17 + ":0"])
def test_a_variable_that_is_no_name_is_not_joined(variable: str) -> None:
    identity = identify({RUN_VARIABLE: variable}, SPAWNED)
    assert identity is not None
    assert not identity.joined
    assert len(identity.nonce) == 16


def name_of_this() -> str:
    return decide(this_candidate({}, COMMAND)).nonce


def test_forks_share_the_name_of_their_service() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, name_of_this().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100).decode() == name_of_this()
    os.close(reading)
    os.close(writing)


def test_there_may_be_no_directory_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def gettempdir() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", gettempdir)
    assert set(default_bases({})) <= {"/dev/shm"}


def test_a_relative_base_is_the_same_after_a_change_of_the_working_directory(tmp_path: Path) -> None:
    code = f"""
import os
os.chdir({str(tmp_path)!r})
import otel_obs
from opentelemetry import metrics
otel_obs.configure(runtime_metrics=False)
orders = metrics.get_meter("shop").create_counter("orders")
orders.add(1)
os.chdir("/")
read, write = os.pipe()
child = os.fork()
if child == 0:
    orders.add(2)
    os.write(write, otel_obs.get_metrics()[0])
    os._exit(0)
os.close(write)
os.waitpid(child, 0)
print(*(line for line in os.read(read, 65536).decode().splitlines() if line.startswith("orders_total")))
"""
    done = run(code, env={"OTEL_OBS_RUN_DIR": "."})
    assert done.lines == ["orders_total 3.0"], done.log
    assert not done.log


def test_a_file_that_is_made_in_a_directory_as_it_is_removed_goes_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = open_run_dir([str(tmp_path)], "0123456789abcdef")
    listdir = os.listdir
    made: list[bool] = []

    def list_first(path: Any) -> list[str]:
        found: list[str] = listdir(path)
        if not made:
            made.append(run_dir.claim("late"))
        return found

    monkeypatch.setattr(os, "listdir", list_first)
    leave([run_dir])
    assert made == [True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("times", [1, 3])
def test_the_users_directory_may_vanish_while_a_worker_joins(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leaves another service of the user last removes it, if nothing is in it at that moment."""
    real = run_directories._join
    seen: list[int] = []

    def join(user: int, user_path: str, nonce: str) -> RunDir | None:
        if len(seen) < times:
            seen.append(user)
            os.rmdir(user_path)
        return real(user, user_path, nonce)

    monkeypatch.setattr(run_directories, "_join", join)
    joined = open_run_dir([str(tmp_path)], "one")
    assert not joined.is_removed()
    joined.close()
