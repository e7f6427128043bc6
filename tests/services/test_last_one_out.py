"""Nothing is left of a service that ends in order, be it that its last worker does not end by itself."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from tests.services.life import places
from tests.services.table import ASGI, GRANIAN, UVICORN, UWSGI
from tests.support.processes import Service, tool
from tests.support.programs import ROOT
from tests.support.waiting import until

APP = "tests.services.apps.hanging:app"
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "--no-control-socket", "--graceful-timeout", "1")
HANGING_UWSGI = (*UWSGI[:-1], APP, "--worker-reload-mercy", "2")

COMMANDS = [
    pytest.param((*GUNICORN, "-w", "2", APP), "", id="gunicorn"),
    pytest.param(
        (*GRANIAN, "--interface", "wsgi", "--workers", "2", "--workers-kill-timeout", "1", APP),
        "granian",
        id="granian",
    ),
    pytest.param(HANGING_UWSGI, "uwsgi", id="uwsgi"),
    pytest.param((*HANGING_UWSGI, "--lazy-apps"), "uwsgi", id="uwsgi lazy"),
    pytest.param((*HANGING_UWSGI, "--gevent", "4"), "uwsgi", id="uwsgi gevent"),
    pytest.param((*HANGING_UWSGI, "--lazy-apps", "--skip-atexit"), "uwsgi", id="uwsgi without handlers"),
]


def skip_without(needs: str) -> None:
    """Skip a test whose server is not installed."""
    if needs == "uwsgi" and not Path(tool("uwsgi")).exists():
        pytest.skip("uWSGI is not installed beside this Python")
    if needs not in ("", "uwsgi") and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")


@pytest.mark.parametrize(("command", "needs"), COMMANDS)
def test_nothing_is_left_when_the_last_worker_is_killed_as_the_service_ends(
    command: Sequence[str], needs: str, tmp_path: Path
) -> None:
    skip_without(needs)
    sign = tmp_path / "hangs"
    env = {"PYTHONPATH": str(ROOT), "HANGING_SIGN": str(sign)}
    with places() as (base, _):
        env["OTEL_OBS_RUN_DIR"] = str(base)
        with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:

            def are_both_in() -> bool:
                assert service.get("/").status == 200
                return len(list(base.rglob("*.cells"))) == 2

            until(are_both_in, "both workers' files", 150)
            with socket.create_connection(("127.0.0.1", service.port)) as client:
                client.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
                until(sign.exists, "a worker that hangs")
                os.kill(service.pid, signal.SIGTERM)
                until(lambda: service.process.poll() is not None, "the end of the server", 150)
            until(lambda: not list(base.iterdir()), "nothing to be left", 90)


IN_A_REQUEST = [
    pytest.param((*GUNICORN, "-w", "2", APP), "", id="gunicorn"),
    pytest.param(
        (*GUNICORN, "-w", "2", "-k", "gthread", "--threads", "1", "--worker-connections", "1", APP),
        "",
        id="gunicorn gthread",
    ),
    pytest.param(HANGING_UWSGI, "uwsgi", id="uwsgi"),
    pytest.param((*HANGING_UWSGI, "--lazy-apps"), "uwsgi", id="uwsgi lazy"),
    pytest.param(tuple(word for word in HANGING_UWSGI if word != "--master"), "uwsgi", id="uwsgi alone"),
]


@pytest.mark.parametrize(("command", "needs"), IN_A_REQUEST)
def test_nothing_is_left_when_a_server_ends_every_worker_in_the_middle_of_a_request(
    command: Sequence[str], needs: str, tmp_path: Path
) -> None:
    skip_without(needs)
    with places() as (base, _), contextlib.ExitStack() as clients:
        sign = tmp_path / "hangs"
        env = {"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(base), "HANGING_SIGN": str(sign)}
        with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
            for _ in range(2):
                client = clients.enter_context(socket.create_connection(("127.0.0.1", service.port)))
                client.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
                until(sign.exists, "a worker that hangs", 150)
                sign.unlink()
            # Without a master, nobody ends the others.
            send = os.killpg if needs == "uwsgi" and "--master" not in command else os.kill
            send(service.pid, signal.SIGTERM)
            until(lambda: service.process.poll() is not None, "the end of the server", 150)
            until(lambda: not list(base.iterdir()), "nothing to be left", 90)


def test_nothing_is_left_when_a_worker_joins_after_the_last_one_and_is_killed(tmp_path: Path) -> None:
    """A worker may miss uWSGI's signal as it loads its application, and is killed in the end."""
    if not Path(tool("uwsgi")).exists():
        pytest.skip("uWSGI is not installed beside this Python")
    command = (*UWSGI[:-1], APP, "--worker-reload-mercy", "8", "--lazy-apps")
    with places() as (base, _):
        env = {"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(base)}
        env |= {"HANGING_SIGN": str(tmp_path), "HANGING_AS_IT_LOADS": "1"}
        with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
            until((tmp_path / "waits").exists, "the worker that loads", 150)
            # In the middle of a request, uWSGI runs no exit handlers.
            serving = psutil.Process(int(service.get("/").text))
            until(lambda: serving.status() == psutil.STATUS_SLEEPING, "a worker at rest")
            os.kill(service.pid, signal.SIGTERM)

            def has_left() -> bool:
                return bool(list(base.rglob("*.leaving")) or not list(base.rglob("*.cells")))

            until(has_left, "the end of the worker that serves", 60)
            (tmp_path / "go").touch()
            until(lambda: service.process.poll() is not None, "the end of the server", 150)
            assert (tmp_path / "joined").exists()
        until(lambda: not list(base.iterdir()), "nothing to be left", 90)


def test_a_server_that_raises_its_sigterm_again_leaves_nothing(tmp_path: Path) -> None:
    """Uvicorn stops in order and raises the signal again, whose default action runs no exit handlers."""
    with places() as (base, _):
        env = {"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(base), "MATRIX_WAY": "one line"}
        with Service(*UVICORN, ASGI, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:

            def is_in() -> bool:
                assert service.get("/hit").status == 200
                return len(list(base.rglob("*.cells"))) == 1

            until(is_in, "the worker's file", 150)
            os.kill(service.pid, signal.SIGTERM)
            until(lambda: service.process.poll() is not None, "the end of the server", 150)
        until(lambda: not list(base.iterdir()), "nothing to be left", 90)


def test_workers_that_a_second_signal_ends_before_their_exit_handlers_leave_nothing(tmp_path: Path) -> None:
    """Ctrl-C reaches uvicorn and its workers, which it then ends: they may have no handler any more."""
    with places() as (base, _):
        env = {"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(base), "HANGING_AT_END": "1"}
        env["HANGING_SIGN"] = str(tmp_path / "ends")
        command = (*UVICORN, "--workers", "2", "tests.services.apps.hanging:asgi")
        with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:

            def are_both_in() -> bool:
                assert service.get("/").status == 200
                return len(list(base.rglob("*.cells"))) == 2

            until(are_both_in, "both workers' files", 150)
            for worker in psutil.Process(service.pid).children():
                if "resource_tracker" not in " ".join(worker.cmdline()):
                    worker.send_signal(signal.SIGINT)
            until(lambda: len(list(tmp_path.glob("ends-*"))) == 2, "the ends of the workers")
            os.kill(service.pid, signal.SIGINT)
            until(lambda: service.process.poll() is not None, "the end of the server", 150)
        until(lambda: not list(base.iterdir()), "nothing to be left", 90)


@pytest.mark.parametrize("kind", ["asyncio", "trio", "uvloop"])
def test_workers_of_hypercorn_that_sigterm_ends_leave_nothing(kind: str, tmp_path: Path) -> None:
    """Several have no handler of it, be it that all get it, or that hypercorn ends all when one has ended."""
    with places() as (base, _):
        env = {"PYTHONPATH": str(ROOT), "OTEL_OBS_RUN_DIR": str(base)}
        command = (tool("hypercorn"), "--bind", "127.0.0.1:{port}", "--workers", "2", "-k", kind)
        app = "tests.services.apps.hanging:asgi"
        with Service(*command, app, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:

            def are_both_in() -> bool:
                assert service.get("/").status == 200
                return len(list(base.rglob("*.cells"))) == 2

            until(are_both_in, "both workers' files", 150)
            workers = [
                child
                for child in psutil.Process(service.pid).children()
                if "tracker" not in child.cmdline()[-1]
            ]
            for worker in workers:
                worker.terminate()
            os.kill(service.pid, signal.SIGTERM)
            until(lambda: service.process.poll() is not None, "the end of the server", 150)
        until(lambda: not list(base.iterdir()), "nothing to be left", 90)
