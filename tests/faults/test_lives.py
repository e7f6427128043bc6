"""How services begin, change and end: none mixes with another, none loses, nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.ledger import ASGI, GUNICORN, UVICORN, WRAPPER, WSGI, assert_exact, hurt
from tests.faults.test_servers import send
from tests.support.ports import free_port
from tests.support.programs import ROOT
from tests.support.samples import parse_samples
from tests.support.waiting import until

NOBODY = "nobody"
PYTHONS = (os.path.realpath(sys.executable), "/usr/bin/python3")


def is_empty(base: Path) -> bool:
    return not list(base.iterdir())


def end(*pids: int) -> None:
    """Kill processes that nobody else tidies up, and wait until they are gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(psutil.pid_exists, pids)), f"the end of {pids}")


@contextlib.contextmanager
def ended(pid_file: Path) -> Iterator[None]:
    """End the daemon of *pid_file*, politely, after the block."""
    try:
        yield
    finally:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        until(lambda: not psutil.pid_exists(pid), "the daemon's end")


@pytest.mark.parametrize("way", ["wrapped", "in code"])
def test_a_daemon(way: str, clean_base: Path, tmp_path: Path) -> None:
    pid_file, ledger = tmp_path / "pid", tmp_path / "ledger"
    wrapper = (WRAPPER,) if way == "wrapped" else ()
    command = (*wrapper, *GUNICORN, "-w", "2", "--preload", "--daemon", "-p", str(pid_file), WSGI)
    daemon = hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log")
    daemon.ready_path = None
    with daemon:
        daemon.process.wait(20)  # what was started has ended; the daemon goes on
        until(lambda: daemon.get("/health").status == 200, "the daemon's answer")
        with ended(pid_file):
            send(daemon)
            assert assert_exact(daemon.scrape(), ledger) == 80
            for worker in psutil.Process(int(pid_file.read_text())).children():
                os.kill(worker.pid, signal.SIGKILL)
            send(daemon, 20)
            assert assert_exact(daemon.scrape(), ledger) == 100
            assert [daemon.get("/spawn").text for _ in range(3)] == ["0"] * 3
            assert assert_exact(daemon.scrape(), ledger) == 103


@pytest.fixture(scope="module")
def python_of_everybody() -> Iterator[tuple[str, Path, dict[str, str]]]:
    """An interpreter that another user may run, where all is that the tests need, and its environment."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        site = Path(directory, "site")
        # This checkout, or its virtual environment, may lie where only its owner may read.
        for source, copy in (
            (Path(sysconfig.get_path("purelib")), site),
            (ROOT / "otel_obs", Path(directory, "otel_obs")),
            (ROOT / "tests", Path(directory, "tests")),
        ):
            shutil.copytree(source, copy, copy_function=link, ignore=shutil.ignore_patterns("__pycache__"))
        env = {"PYTHONPATH": os.pathsep.join((directory, str(site))), "PATH": os.environ["PATH"]}
        said = [try_as_nobody(python, env) for python in PYTHONS]
        if all(said):
            pytest.skip(f"no Python here that {NOBODY} may run: {said}")
        yield PYTHONS[said.index("")], Path(directory), env


def try_as_nobody(python: str, env: dict[str, str]) -> str:
    """What hinders another user from running *python* with all that the tests need; empty if nothing does."""
    code = "import gunicorn, opentelemetry.instrumentation, otel_obs, psutil, tests.faults, wrapt"
    try:
        tried = subprocess.run(
            [python, "-c", code], env=env, cwd="/", user=NOBODY, capture_output=True, text=True
        )
    except OSError as error:
        return str(error)
    return tried.stderr


def link(source: str, copy: str) -> None:
    """Copy a file for free, where that can be."""
    try:
        os.link(source, copy)
    except OSError:  # another file system
        shutil.copy2(source, copy)


def owners(pids: list[int]) -> set[int]:
    """The effective users of the processes that live."""
    found = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.add(psutil.Process(pid).uids().effective)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may become nobody")
@pytest.mark.parametrize(
    "way", ["wrapped", "wrapped, preloaded", "wrapped, one worker", "in code", "in code, preloaded"]
)
def test_workers_of_another_user(
    way: str, base: Path, tmp_path: Path, python_of_everybody: tuple[str, Path, dict[str, str]]
) -> None:
    python, place, env = python_of_everybody
    ledger = base / "ledger"
    wrapper = (python, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()")
    workers = 1 if "one" in way else 3
    command = (
        *(wrapper if "wrapped" in way else ()),
        *(python, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", str(workers), "--user", NOBODY),
        *("--max-requests", "30", *(["--preload"] if "preloaded" in way else []), WSGI),
    )
    run_dirs = base / "run"
    run_dirs.mkdir()
    run_dirs.chmod(0o1777)
    with hurt(*command, base=run_dirs, ledger=ledger, log=tmp_path / "log", env=env, cwd=place) as service:
        send(service, 80)
        service.wait_for_workers(workers)
        # One that was forked just now has yet to become the other user.
        nobody = {pwd.getpwnam(NOBODY).pw_uid}
        until(lambda: owners(service.workers()) == nobody, f"workers of {NOBODY} alone", 150)
        assert assert_exact(service.scrape(), ledger) == 80
        service.kill(service.workers()[0])
        send(service, 40)
        assert assert_exact(service.scrape(), ledger) == 120
    if way != "in code":  # then the master knows nothing, and a later start tidies up
        assert list(run_dirs.iterdir()) == []


def test_a_master_that_executes_itself_anew(clean_base: Path, tmp_path: Path) -> None:
    pid_file, ledger = tmp_path / "pid", tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "2", "-p", str(pid_file), WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service)
        os.kill(service.pid, signal.SIGUSR2)
        new = tmp_path / "pid.2"
        until(lambda: new.exists() and new.read_text().strip(), "the new master")
        master = int(new.read_text())
        until(lambda: len(psutil.Process(master).children()) == 2, "the new master's workers")
        send(service)  # both masters' workers serve now
        until(lambda: assert_exact(service.scrape(), ledger) == 160, "all requests counted")
        os.kill(service.pid, signal.SIGTERM)
        service.process.wait(20)
        send(service)
        for _ in range(4):
            assert assert_exact(service.scrape(), ledger) == 240
        os.kill(master, signal.SIGTERM)
        until(lambda: not psutil.pid_exists(master), "the new master's end")


@pytest.mark.parametrize("way", ["wrapped", "in code"])
def test_a_master_that_is_killed(way: str, clean_base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    wrapper = (WRAPPER,) if way == "wrapped" else ()
    command = (*wrapper, *GUNICORN, "-w", "3", "--timeout", "2", WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service)
        workers = service.workers()
        os.kill(service.pid, signal.SIGKILL)
        service.process.wait(20)
        # gunicorn's workers find out within half a time-out, and end.
        until(lambda: not any(map(psutil.pid_exists, workers)), "the workers' end")


def test_a_parent_of_spawned_workers_that_is_killed(clean_base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *UVICORN, "--workers", "2", ASGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service)
        workers = service.workers()
        os.kill(service.pid, signal.SIGKILL)
        service.process.wait(20)
        until(lambda: assert_exact(service.scrape(), ledger) == 80, "the workers, who go on")
        send(service, 20)
        assert assert_exact(service.scrape(), ledger) == 100
        # uvicorn's workers end by the signal itself, without running what is to run at an exit.
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not any(map(psutil.pid_exists, workers)), "the workers' end")
    with hurt(*command, base=clean_base, ledger=tmp_path / "other", log=tmp_path / "log2") as service:
        send(service, 10)
        assert assert_exact(service.scrape(), tmp_path / "other") == 10


def test_everybody_is_killed_and_a_later_start_tidies_up(clean_base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "2", WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service)
        victims = [service.pid, *service.workers()]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        service.process.wait(20)
        until(lambda: not any(map(psutil.pid_exists, victims[1:])), "the end of all")
    assert not is_empty(clean_base)
    with hurt(*command, base=clean_base, ledger=tmp_path / "other", log=tmp_path / "log2") as service:
        send(service, 10)
        assert assert_exact(service.scrape(), tmp_path / "other") == 10
        (user,) = clean_base.iterdir()
        assert len(list(user.iterdir())) == 1


def test_two_services_of_one_shell(clean_base: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    other.mkdir()
    port = free_port()
    command = " ".join((WRAPPER, *GUNICORN, "-w", "2", WSGI))
    both = f"{command} & FAULT_LOG={other} {command.replace('{port}', str(port))} & wait"
    with hurt("/bin/sh", "-c", both, base=clean_base, ledger=one, log=tmp_path / "log") as service:
        neighbour = hurt("", base=clean_base, ledger=other, log=tmp_path / "log")
        neighbour.port, neighbour.url = port, f"http://127.0.0.1:{port}"
        until(lambda: neighbour.get("/health").status == 200, "the other service's answer")
        send(service, 30)
        send(neighbour, 50)
        for _ in range(4):
            assert assert_exact(service.scrape(), one) == 30
            assert assert_exact(neighbour.scrape(), other) == 50
        for master in service.workers():
            os.kill(master, signal.SIGTERM)
        service.process.wait(20)


def test_a_worker_that_executes_another_program(clean_base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "2", WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service, 20)
        for _ in range(2):
            workers = service.wait_for_workers(2)
            with contextlib.suppress(OSError):  # nobody answers
                service.get("/exec")
            until(lambda before=workers: service.workers() != before, "another worker")  # type: ignore[misc]
        service.wait_for_workers(2)
        send(service, 20)
        assert assert_exact(service.scrape(), ledger) == 42


def test_a_worker_that_starts_another_instrumented_program(clean_base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "2", WSGI)
    with hurt(*command, base=clean_base, ledger=ledger, log=tmp_path / "log") as service:
        send(service, 20)
        inner = parse_samples(service.get("/start").text)
        assert inner.total("hits_total") == 1000
        assert inner.total("http_requests_total") == 0
        assert assert_exact(service.scrape(), ledger) == 20


def test_a_child_that_a_killed_worker_leaves_behind(base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "2", WSGI)
    with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log") as service:
        send(service, 20)
        service.get("/level")
        child = int(service.get("/fork").text)
        parent = psutil.Process(child).ppid()
        until(lambda: assert_exact(service.scrape(), ledger) == 21, "the child's count")
        service.kill(parent)
        service.wait_for_workers(2)
        send(service, 20)
        assert psutil.pid_exists(child)
        assert assert_exact(service.scrape(), ledger) == 41
        end(child)
        assert assert_exact(service.scrape(), ledger) == 41
