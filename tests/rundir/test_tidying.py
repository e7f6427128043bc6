"""What is swept is known to be dead: a directory without members lives as long as a process that it names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from otel_obs.cells.membership import Service
from otel_obs.host import proc
from otel_obs.rundir.aftercare import main
from otel_obs.rundir.apart import Apart, workers_apart
from otel_obs.rundir.directory import RunDir, id_mark, lock, open_run_dir, remove_tree, user_path_of
from otel_obs.rundir.identity import Identity
from otel_obs.rundir.roots import LEAVING, ROOT, STARTER, file_name, is_alive, recorded_roots
from otel_obs.rundir.tidying import DOUBT, DOUBTFUL_S, Left, forget_leaving, leave, sweep

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


@pytest.mark.parametrize(
    ("ends", "is_empty"), [(True, True), (False, False)], ids=["one that ends", "one that hides"]
)
def test_a_process_without_a_namespace_is_looked_at_again(
    ends: bool, is_empty: bool, monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    """A process that ends has no namespace any more, before it counts as ended."""
    looks: list[int] = []
    look_up, namespace_of = proc.look_up, proc._namespace_of

    def look(pid: int) -> proc.Process | None:
        found = look_up(pid)
        if pid != other.pid or found is None:
            return found
        looks.append(pid)
        return found._replace(has_ended=ends and len(looks) > 3)

    hidden = str(other.pid)
    monkeypatch.setattr(proc, "look_up", look)
    monkeypatch.setattr(
        proc, "_namespace_of", lambda each, *of: "" if each == hidden else namespace_of(each, *of)
    )
    monkeypatch.setattr(proc, "_FIRST_NAMESPACE", proc.pid_namespace())
    if os.geteuid() != 0:
        pytest.skip("needs root, who sees every namespace")
    found = look_up(other.pid)
    assert found is not None
    assert proc.is_gone_from("pid1", found.start) is is_empty


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who sees every namespace")
def test_the_number_of_a_namespace_is_given_again(
    monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    namespace_of, found = proc._namespace_of, proc.look_up(other.pid)
    assert found is not None
    inside = str(other.pid)

    def one_of_them(each: str, kind: str = "pid") -> str:
        return "pid1" if (each, kind) == (inside, "pid") else namespace_of(each, kind)

    monkeypatch.setattr(proc, "_namespace_of", one_of_them)
    monkeypatch.setattr(proc, "_FIRST_NAMESPACE", proc.pid_namespace())
    assert not proc.is_gone_from("pid1", found.start)
    assert proc.is_gone_from("pid1", str(int(found.start) + 1))
    assert not proc.is_gone_from("pid1", "i7")  # where only the kernel's inode of it was known


@pytest.mark.parametrize("hidden_from", ["who has recorded it", "who sweeps"])
def test_of_a_service_without_proc_nobody_knows(
    hidden_from: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = name_of(os.getpid())
    with monkeypatch.context() as patch:
        patch.setattr(proc, "boot", lambda: "")
        patch.setattr(proc, "pid_namespace", lambda: "")
        names = [file_name(proc.hidden_process(os.getpid()), ROOT), own]
        run_dir = left_to(tmp_path, names[hidden_from == "who sweeps"])
        if hidden_from == "who sweeps":
            assert not is_swept(tmp_path, run_dir)
    assert not is_swept(tmp_path, run_dir)


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
    assert leave([run_dir]) == [Left(run_dir, has_members=False)]
    assert os.path.exists(run_dir.path)
    again = open_run_dir([str(tmp_path)], NONCE)
    assert leave([again], lambda root: root.pid == other.pid) == []
    assert list(tmp_path.iterdir()) == []


def test_who_outlives_a_root_does_not_wait_for_the_kernel_to_forget_it(tmp_path: Path) -> None:
    root = proc.this_process()
    assert root is not None
    member, outliving = open_run_dir([str(tmp_path)], NONCE), open_run_dir([str(tmp_path)], NONCE)
    member.note([file_name(root, ROOT)])
    assert leave([member], heads=[root]) == [Left(member, has_members=True)]
    # The root still runs: it is this process.
    assert leave([outliving]) == []
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_knows_no_root_says_that_it_leaves(tmp_path: Path) -> None:
    """Without /proc its children know it as theirs."""
    service = Service([str(tmp_path)], NONCE, identity=Identity(NONCE, False, "unknown"))
    assert service.run_dir() is not None
    with_it = open_run_dir([str(tmp_path)], NONCE)
    with_it.note([name_of(os.getpid())])
    service.close()
    assert [each.pid for each in recorded_roots(with_it.names(), LEAVING)] == [os.getpid()]
    assert leave([with_it]) == []


def test_a_root_that_joins_again_is_waited_for_again(tmp_path: Path) -> None:
    root = proc.this_process()
    assert root is not None
    member, outliving = open_run_dir([str(tmp_path)], NONCE), open_run_dir([str(tmp_path)], NONCE)
    member.note([file_name(root, ROOT)])
    leave([member], heads=[root])
    forget_leaving(outliving)
    assert leave([outliving]) == [Left(outliving, has_members=False)]


def test_a_process_that_proc_hides_is_asked_for_by_its_inode(
    monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(proc, "look_up", lambda pid: None)
    (root,) = recorded_roots([file_name(proc.hidden_process(other.pid), ROOT)], ROOT)
    assert is_alive(root) is True
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_alive(root) is False
    other.wait()
    assert is_alive(root) is False


def test_marks_of_workers_that_are_apart_go_with_them(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    user = Path(user_path_of(str(tmp_path)))
    user.mkdir(mode=0o700)
    (user / f".apart-{NONCE}-00").symlink_to(name_of(other.pid, ".apart"))
    sweep([str(tmp_path)])
    assert workers_apart([str(tmp_path)], NONCE) == [other.pid]
    other.kill()
    other.wait()
    leave([open_run_dir([str(tmp_path)], "another service")])
    assert list(tmp_path.iterdir()) == []


def test_a_mark_of_another_namespace_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = Path(user_path_of(str(tmp_path)))
    user.mkdir(mode=0o700)
    monkeypatch.setattr(proc, "pid_namespace", lambda: "pid1")
    mark = Apart([str(tmp_path)], NONCE, b"worker")
    monkeypatch.setattr(proc, "pid_namespace", lambda: "pid2")
    sweep([str(tmp_path)])
    assert workers_apart([str(tmp_path)], NONCE) == [os.getpid()]
    mark.end()
    assert workers_apart([str(tmp_path)], NONCE) == []


def test_with_the_directory_of_a_service_id_goes_the_mark_of_its_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has directories of other users")
    user = tmp_path / "otel-obs-65534"
    (user / "shop.1").mkdir(parents=True)
    os.chown(user, 65534, 65534)
    (tmp_path / id_mark("shop.1", "65534")).mkdir()
    parent = os.open(user, os.O_RDONLY)
    remove_tree(parent, "shop.1")
    os.close(parent)
    assert list(tmp_path.iterdir()) == [user]


def test_who_leaves_as_the_one_that_tidies_up_is_about_to_go_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = open_run_dir([str(tmp_path)], NONCE)
    looks = []

    def goes_on(self: object) -> bool:
        looks.append(self)
        if len(looks) == 1:
            run_dir.note([name_of(os.getpid(), LEAVING)])
            with run_dir.open("aftercare.lock", os.O_RDWR) as leaver:
                assert not lock(leaver, exclusive=True)
        return False

    monkeypatch.setattr("otel_obs.rundir.aftercare._Aftercare._goes_on", goes_on)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with run_dir.open("aftercare.lock", os.O_CREAT | os.O_RDWR) as descriptor:
        assert lock(descriptor, exclusive=True)
        main([run_dir.path, str(descriptor), "by the last"])
    assert len(looks) == 2


@pytest.mark.parametrize("has_joined", [False, True], ids=["its threads end", "another has joined"])
def test_a_member_that_counts_as_ended_is_none_that_has_joined(
    has_joined: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: subprocess.Popen[bytes]
) -> None:
    """The first thread of a process may have ended before the last one that holds its files."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    member = open_run_dir([str(tmp_path)], NONCE)
    member.note([name_of(other.pid), name_of(ended.pid, LEAVING)])
    if has_joined:
        forget_leaving(member)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with member.open("aftercare.lock", os.O_CREAT | os.O_RDWR) as descriptor:
        assert lock(descriptor, exclusive=True)
        aftercare = Thread(target=main, args=([member.path, str(descriptor), "by the last"],))
        aftercare.start()
        aftercare.join(60.0 if has_joined else 4.0)
        assert aftercare.is_alive() is not has_joined
        member.close()
        other.kill()
        other.wait()
        aftercare.join(60.0)
    ended.wait()
    assert os.path.exists(member.path) is has_joined


@pytest.mark.parametrize("name", ["x.root", "1-2-3.root", "a-1-2-3.root", "members", "1-2-3-4.leaving"])
def test_names_that_say_nothing_of_a_root(name: str) -> None:
    assert recorded_roots([name], ROOT) == []
