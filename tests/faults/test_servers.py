"""Every manner of serving: each request is counted once, whichever worker answers the scrape."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.faults.ledger import ASGI, GUNICORN, UVICORN, WRAPPER, WSGI, assert_exact, hurt
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import Response, request

SENT = 80

WAYS = {
    "gunicorn": (WRAPPER, *GUNICORN, "-w", "2", WSGI),
    "gunicorn, preloaded": (WRAPPER, *GUNICORN, "-w", "2", "--preload", WSGI),
    "gunicorn, preloaded, in code": (*GUNICORN, "-w", "2", "--preload", WSGI),
    "gunicorn with threads": (WRAPPER, *GUNICORN, "-w", "2", "-k", "gthread", "--threads", "4", WSGI),
    "gunicorn with greenlets": (WRAPPER, *GUNICORN, "-w", "2", "-k", "gevent", WSGI),
    "gunicorn with greenlets, in code": (*GUNICORN, "-w", "2", "-k", "gevent", WSGI),
    "gunicorn, one worker, in code": (*GUNICORN, "-w", "1", WSGI),
    "uvicorn": (WRAPPER, *UVICORN, "--workers", "2", ASGI),
    "uvicorn, in code": (*UVICORN, "--workers", "2", ASGI),
    "uvicorn, one process": (*UVICORN, ASGI),
    "uvicorn that reloads": (WRAPPER, *UVICORN, "--reload", "--reload-dir", "{reload}", ASGI),
}


def send(service: Service, requests: int = SENT, path: str = "/hit") -> set[str]:
    """Send some requests at once; what they were answered."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.get(path), range(requests)))
    assert {answer.status for answer in answers} == {200}
    return {answer.text for answer in answers}


@pytest.mark.parametrize("way", WAYS)
def test_every_request_is_counted_once(way: str, base: Path, tmp_path: Path) -> None:
    command = [part.replace("{reload}", str(tmp_path)) for part in WAYS[way]]
    ledger = tmp_path / "ledger"
    with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log") as service:
        lives = send(service)
        for _ in range(6):
            samples = service.scrape()
            assert assert_exact(samples, ledger) == SENT
            assert samples.total("took_seconds_count") == SENT
            assert samples.value("otel_obs_workers") >= len(lives)
    if WRAPPER in command:
        assert list(base.iterdir()) == []


def test_a_reload_by_a_changed_file_keeps_the_counts(base: Path, tmp_path: Path) -> None:
    watched, ledger = tmp_path / "watched", tmp_path / "ledger"
    watched.mkdir()
    command = (WRAPPER, *UVICORN, "--reload", "--reload-dir", str(watched), ASGI)
    with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log") as service:
        for _ in range(3):
            send(service, 20)
            before = service.get("/pid").text

            def is_new(before: str = before) -> bool:
                return service.get("/pid").text != before

            def is_reloaded() -> bool:
                # Again where the server had not begun to watch.
                (watched / "changed.py").write_text(f"number = {time.monotonic_ns()}\n")
                with contextlib.suppress(TimeoutError):
                    return until(is_new, "another process", 3)
                return False

            until(is_reloaded, "a reload")
        send(service, 20)
        assert assert_exact(service.scrape(), ledger) == 80
    assert list(base.iterdir()) == []


UWSGI = tool("uwsgi")
HAS_UWSGI = pytest.mark.skipif(not Path(UWSGI).exists(), reason="uWSGI is not installed beside this Python")
UWSGI_WAYS = {
    "without hooks": (),
    "with hooks": ("--py-call-osafterfork",),
    "with threads, without hooks": ("--enable-threads", "--threads", "3"),
    "with an application a worker": ("--lazy-apps",),
}


@HAS_UWSGI
@pytest.mark.parametrize("way", UWSGI_WAYS)
def test_uwsgi(way: str, base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (
        *(UWSGI, "--http-socket", "127.0.0.1:{port}", "--master", "--processes", "3", "--die-on-term"),
        *("--virtualenv", sys.prefix, "--pythonpath", ".", "--disable-logging", "--need-app"),
        *UWSGI_WAYS[way],
        *("--module", WSGI),
    )
    # The application records while it is imported, before the forks where the master imports it.
    env = {"FAULT_EARLY": "1"}
    imports = 3 if "--lazy-apps" in command else 1
    with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log", env=env) as service:
        until(lambda: len({service.get("/pid").text for _ in range(30)}) == 3, "all workers' answers")
        before = service.scrape().total("http_requests_total")
        lives = send(service, 400)
        assert len(lives) > 1
        for _ in range(6):
            samples = service.scrape()
            assert assert_exact(samples, ledger) == 400
            assert samples.total("took_seconds_count") == 400 + imports
            assert samples.total("http_requests_total") - before == 400
            assert samples.total("http_requests_in_progress") == 0
        victim = service.workers()[0]
        service.kill(victim)
        send(service, 100)
        assert assert_exact(service.scrape(), ledger) == 500


@HAS_UWSGI
@pytest.mark.parametrize("way", UWSGI_WAYS)
def test_uwsgi_that_pushes_and_has_a_port_of_its_own(way: str, base: Path, tmp_path: Path) -> None:
    ledger, metrics_port = tmp_path / "ledger", free_port()
    command = (
        *(UWSGI, "--http-socket", "127.0.0.1:{port}", "--master", "--processes", "3", "--die-on-term"),
        *("--virtualenv", sys.prefix, "--pythonpath", ".", "--disable-logging", "--need-app"),
        *("--enable-threads", *UWSGI_WAYS[way], "--module", WSGI),
    )
    with OtlpReceiver() as receiver:
        env = {
            **receiver.environment("http/protobuf"),
            "OTEL_METRICS_EXPORTER": "prometheus,otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(metrics_port),
            "FAULT_EARLY": "1",
        }
        with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log", env=env) as service:
            # The port is served by a worker, not by the master, before anybody has asked for anything there.
            page = f"http://127.0.0.1:{metrics_port}/metrics"
            until(lambda: len({service.get("/pid").text for _ in range(30)}) == 3, "all workers' answers")
            until(lambda: answered(page), "the port")
            for _ in range(3):
                send(service, 200)
            pushed = "hits"
            until(lambda: receiver.latest().total(pushed) == 600, "what all workers have pushed")
            assert len({labels["life"] for labels in receiver.latest().labels(pushed)}) > 1
            samples = parse_samples(request(page).text)
            assert assert_exact(samples, ledger) == 600
            # Whoever holds the port is killed, and another worker has it then.
            service.kill(listener(metrics_port))
            until(lambda: answered(page), "the port, of another worker")
            send(service, 100)
            assert assert_exact(parse_samples(request(page).text), ledger) == 700
            until(lambda: receiver.latest().total(pushed) == 700, "what all workers have pushed since")


def answered(url: str) -> Response | None:
    """The answer of somebody who may not listen yet."""
    with contextlib.suppress(OSError):
        return request(url)
    return None


def listener(port: int) -> int:
    """The process that listens on a loopback port."""
    (pid,) = {
        each.pid
        for each in psutil.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port
    }
    assert pid is not None
    return pid


@pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="Celery is not installed")
def test_celery_with_forked_workers(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"CELERY_DIRECTORY": str(tmp_path)}
    monkeypatch.setenv("CELERY_DIRECTORY", str(tmp_path))
    for name in ("queue", "done"):
        (tmp_path / name).mkdir()
    command = (
        *(WRAPPER, tool("celery"), "--app", "tests.faults.apps.tasks", "worker", "--pool", "prefork"),
        *("--concurrency", "2", "--max-tasks-per-child", "4", "--loglevel", "warning"),
        *("--without-gossip", "--without-mingle"),
    )
    ledger = tmp_path / "ledger"
    service = hurt(*command, base=base, ledger=ledger, log=tmp_path / "log", env=env)
    service.ready_path = None
    with service:
        from tests.faults.apps.tasks import hit, overrun, tell

        lives = {task.get(timeout=240, interval=0.02) for task in [hit.delay() for _ in range(20)]}
        assert len(lives) >= 20 / 4
        assert assert_exact(parse_samples(tell.delay().get(timeout=240, interval=0.02)), ledger) == 20
        # The soft limit is an exception out of a signal handler, in the middle of a record most likely.
        overruns = [overrun.delay() for _ in range(4)]
        assert [task.get(timeout=240, interval=0.02) for task in overruns] == ["in time"] * 4
    assert list(base.iterdir()) == []
