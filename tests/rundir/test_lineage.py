"""Whom a process is of one service with, by what the kernel tells and what it hides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from otel_obs.host import proc
from otel_obs.host.proc import Process
from otel_obs.rundir import lineage
from otel_obs.rundir.identity import Candidate, Identity, decide, siblings_alike

EXECUTED, FORKED = 0x400000, 0x400040
SPAWNED = ["python", "-c", "from multiprocessing.spawn import spawn_main", "--multiprocessing-fork"]
FORKSERVER = ["python", "-c", "from multiprocessing.forkserver import main; main(3, 4)"]
GUNICORN = ["python", "gunicorn", "-w", "2", "app:app"]


class Kernel:
    """A /proc that shows what a test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: dict[int, Process] = {}
        self.commands: dict[int, list[str]] = {}
        self.sockets: dict[int, frozenset[int]] = {}
        self.hidden: dict[int, Process] = {}
        for name, answer in {
            "look_up": self.processes.get,
            "command_of": lambda pid: self.commands.get(pid, []),
            "sockets_of": lambda pid: self.sockets.get(pid),
            "hidden_process": lambda pid: self.hidden.get(pid, Process(pid, start=f"i{pid}")),
            "boot": lambda: "boot",
            "pid_namespace": lambda: "namespace",
        }.items():
            monkeypatch.setattr(proc, name, answer)

    def add(self, pid: int, parent: int, command: Sequence[str] = GUNICORN, **fields: Any) -> int:
        """Add a process; by default one that was executed, in the first session."""
        given = {
            "session": 1,
            "start": str(100 + pid),
            "flags": EXECUTED,
            "image": f"image of {pid}",
            **fields,
        }
        self.processes[pid] = Process(pid, parent, **given)
        self.commands[pid] = list(command)
        return pid

    def fork(self, pid: int, parent: int, **fields: Any) -> int:
        """Add a fork, which is what its parent is unless a test says something else."""
        of = self.processes.get(parent) or self.hidden[parent]
        given = {"image": of.image, "session": of.session, "flags": FORKED, **fields}
        return self.add(pid, parent, self.commands.get(parent, GUNICORN), **given)

    def root_of(
        self,
        pid: int,
        environ: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
        listening: frozenset[int] = frozenset(),
    ) -> int | None:
        own = command or self.commands[pid]
        traced = lineage.trace(self.processes[pid], own, environ or {}, lambda: listening)
        return traced.root.pid if traced.root is not None else None


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_process_1_is_a_root_like_any_other(kernel: Kernel) -> None:
    kernel.add(1, 0)
    for worker in (5, 6):
        kernel.fork(worker, 1)
        assert kernel.root_of(worker) == 1
    kernel.add(7, 1, SPAWNED)
    assert kernel.root_of(7) == 1
    kernel.fork(8, 7)
    assert kernel.root_of(8) == 1


@pytest.mark.parametrize(
    "first", [["sh", "-c", "gunicorn"], ["tini", "--", "gunicorn"]], ids=["a shell", "an init"]
)
def test_who_executes_the_server_is_not_its_root(first: list[str], kernel: Kernel) -> None:
    kernel.add(1, 0, first)
    kernel.add(2, 1)
    kernel.fork(3, 2)
    assert kernel.root_of(3) == 2


def test_an_orphan_is_not_kin_to_who_adopted_it(kernel: Kernel) -> None:
    kernel.add(1, 0, ["init"])
    kernel.add(2, 1, image="the same")
    kernel.fork(3, 2)
    daemon = kernel.fork(4, 1, image="the same", session=3)
    kernel.commands[daemon] = GUNICORN
    worker = kernel.fork(5, daemon)
    assert kernel.root_of(worker) == daemon
    # Nor where the adopter's program is another user's, and not to see.
    kernel.add(1, 0, ["init"], image="")
    assert kernel.root_of(worker) == daemon


@pytest.mark.parametrize("titled", [False, True], ids=["one command", "other titles"])
def test_workers_of_another_user(titled: bool, kernel: Kernel) -> None:
    master = kernel.add(10, 1, image="")
    for worker in (11, 12):
        kernel.fork(worker, master, image="own")
        if titled:
            kernel.commands[worker] = [f"worker {worker}"]
        assert kernel.root_of(worker) == master


def test_a_program_that_a_worker_executes_is_another_service(kernel: Kernel) -> None:
    kernel.add(10, 1, image="the same")
    kernel.fork(11, 10)
    # Without randomised addresses all programs of one interpreter look the same; the kernel's mark tells.
    kernel.add(12, 11, ["python", "report.py"], image="the same")
    kernel.sockets = {11: frozenset({7}), 12: frozenset({7})}
    assert kernel.root_of(12, listening=frozenset({7})) == 12


def test_a_spawned_child_and_the_forks_of_a_forkserver(kernel: Kernel) -> None:
    kernel.add(10, 1)
    kernel.add(11, 10, FORKSERVER)
    kernel.fork(12, 11)
    assert kernel.root_of(12) == 10


def test_a_master_that_takes_over(kernel: Kernel) -> None:
    for master, parent in ((10, 1), (20, 10)):
        kernel.add(master, parent, GUNICORN)
    kernel.fork(21, 20)
    assert kernel.root_of(21) == 20  # the same command alone may be a second service
    assert kernel.root_of(21, {"GUNICORN_PID": "10"}) == 10
    assert kernel.root_of(21, {"GUNICORN_PID": "9"}) == 20
    kernel.sockets = {10: frozenset({7, 8}), 20: frozenset({7})}
    assert kernel.root_of(21, listening=frozenset({7})) == 10
    assert kernel.root_of(21, listening=frozenset({8})) == 20


@pytest.mark.parametrize(("session", "root"), [(1, 10), (2, 11)], ids=["its own", "an adopter's"])
def test_a_parent_that_proc_hides(session: int, root: int, kernel: Kernel) -> None:
    kernel.hidden[10] = Process(10, session=session, start="i5")
    kernel.commands[10] = []
    kernel.add(11, 10, image="own", flags=FORKED)
    assert kernel.root_of(11) == root
    kernel.add(12, 10, ["python", "other.py"])
    assert kernel.root_of(12) == 12


class TestAKernelThatTellsLittle:
    """gVisor's has neither flags nor a program's place in memory."""

    FIELDS: Any = {"flags": 0, "image": ""}  # noqa: RUF012

    def test_forks_have_the_command_line(self, kernel: Kernel) -> None:
        kernel.add(1, 0, **self.FIELDS)
        kernel.fork(2, 1, **self.FIELDS)
        assert kernel.root_of(2) == 1

    def test_or_a_listening_socket(self, kernel: Kernel) -> None:
        kernel.add(1, 0, **self.FIELDS)
        kernel.fork(2, 1, **self.FIELDS)
        kernel.commands[2] = ["a title"]
        assert kernel.root_of(2) == 2
        kernel.sockets = {1: frozenset({7})}
        assert kernel.root_of(2, listening=frozenset({7})) == 1

    def test_a_shell_is_no_kin(self, kernel: Kernel) -> None:
        kernel.add(1, 0, ["sh"], **self.FIELDS)
        kernel.add(2, 1, **self.FIELDS)
        assert kernel.root_of(2) == 2


GIVEN = {
    "--fd 5": ["uvicorn", "--fd", "5", "app:app"],
    "--fd=5": ["uvicorn", "--fd=5", "app:app"],
    "fd://5": ["hypercorn", "--bind", "fd://5", "app:app"],
    "--bind=fd://5": ["gunicorn", "--bind=fd://5", "app:app"],
}


def candidate(
    kernel: Kernel, pid: int, command: Sequence[str], environ: Mapping[str, str] | None = None
) -> Candidate:
    process = kernel.processes[pid]
    return Candidate(
        pid, process, process.parent, command, environ or {}, lambda: {5: (77, "('127.0.0.1', 80)")}
    )


@pytest.mark.parametrize("words", GIVEN.values(), ids=list(GIVEN))
def test_siblings_that_were_given_one_socket(words: list[str], kernel: Kernel) -> None:
    kernel.add(10, 1, ["circusd"])
    found = []
    for number, pid in enumerate((11, 12)):
        command = ["python", *words, "--worker-id", str(number)]
        kernel.add(pid, 10, command)
        found.append(decide(candidate(kernel, pid, command)))
    assert [each.rule for each in found] == ["socket", "socket"]
    assert found[0].nonce == found[1].nonce
    # Another parent's are others.
    kernel.add(20, 1, ["circusd"])
    kernel.add(21, 20, words)
    assert decide(candidate(kernel, 21, ["python", *words])).nonce != found[0].nonce


@pytest.mark.parametrize(
    "words", [["report.py", "5"], ["report.py", "--days", "5"], ["report.py", "--fdx", "5"]], ids=" ".join
)
def test_a_socket_that_is_only_held_joins_nobody(words: list[str], kernel: Kernel) -> None:
    kernel.add(10, 1)
    names = set()
    for pid in (11, 12):
        kernel.add(pid, 10, ["python", *words])
        found = decide(candidate(kernel, pid, ["python", *words]))
        assert found.rule == "kernel"
        names.add(found.nonce)
    assert len(names) == 2


def test_sockets_that_systemd_gives(kernel: Kernel) -> None:
    command = ["python", "serve.py"]
    kernel.add(11, 1, command)
    for pid, rule in (("11", "socket"), ("12", "kernel")):
        environ = {"LISTEN_PID": pid, "LISTEN_FDS": "3"}
        assert decide(candidate(kernel, 11, command, environ)).rule == rule


class TestWithoutProc:
    """What is left is a parent's number, and the descriptors of this process."""

    @staticmethod
    def worker_of(master: int, environ: Mapping[str, str] | None = None) -> Identity:
        held: Any = lambda: {5: (77, "('127.0.0.1', 80)")}  # noqa: E731
        return decide(Candidate(21, None, master, GUNICORN, environ or {}, held))

    def test_the_master_of_a_held_socket_is_the_root(self, kernel: Kernel) -> None:
        found = self.worker_of(10)
        assert (found.rule, found.heads) == ("socket", (Process(10, start="i10"),))

    def test_a_master_that_takes_over_is_of_the_same_service(
        self, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(proc, "exists", lambda pid: pid == 10)
        found = self.worker_of(20, {"GUNICORN_PID": "10"})
        assert found.nonce == self.worker_of(10).nonce
        # Which the directory names as a root: workers that begin when the first is gone find it.
        assert [each.pid for each in found.heads] == [20, 10]
        assert self.worker_of(20, {"GUNICORN_PID": "9"}).nonce != found.nonce


@pytest.mark.parametrize("between", [False, True], ids=["children", "children of forks"])
def test_the_same_program_beside_it_may_be_meant_as_another_worker(
    between: bool, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def children_of(pid: int) -> list[Process]:
        return [each for each in kernel.processes.values() if each.parent == pid]

    monkeypatch.setattr(proc, "children_of", children_of)
    kernel.add(10, 1, ["python", "honcho"])
    parents = [kernel.fork(11, 10), kernel.fork(12, 10), kernel.fork(13, 10)] if between else [10] * 3
    words = ["python", "uvicorn", "--port", "1", "app:app"]
    for pid, parent in zip((21, 22), parents, strict=False):
        kernel.add(pid, parent, words)
    kernel.add(23, parents[-1], ["python", "worker.py"])
    assert siblings_alike(candidate(kernel, 21, words)) == [22]


def test_the_users_word_comes_first(kernel: Kernel) -> None:
    kernel.add(11, 1)
    kernel.add(12, 1)
    found = [decide(candidate(kernel, pid, GUNICORN), "shop", 2) for pid in (11, 12)]
    assert [(each.nonce, each.rule) for each in found] == [("shop.2", "service id")] * 2
