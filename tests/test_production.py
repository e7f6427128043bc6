"""What docs/production.md promises, under a real gunicorn."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import request

ROOT = Path(__file__).parent.parent
COMMAND = (
    tool("opentelemetry-instrument"),
    *(tool("gunicorn"), "-b", "127.0.0.1:{port}", "tests.apps.plain_flask:app"),
)
ITEMS = {"endpoint": "/items/<int:number>", "method": "GET", "status_code": "200"}
SENT = 60


def gunicorn(log: Path, *options: str, env: dict[str, str] | None = None) -> Service:
    return Service(*COMMAND, *options, cwd=ROOT, env=env, log_file=log, ready_path="/health")


def send(service: Service, requests: int = SENT) -> None:
    for number in range(requests):
        assert service.get(f"/items/{number}").status == 200


def wait_for_count(service: Service, requests: int) -> None:
    until(
        lambda: service.scrape().value("http_requests_total", **ITEMS) == requests,
        f"{requests} requests counted",
    )


def test_greenlets_count_exactly(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "log", "-w", "2", "-k", "gevent") as service:
        send(service)

        wait_for_count(service, SENT)


def test_workers_that_are_replaced_after_some_requests_leave_their_counts(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "log", "-w", "2", "--max-requests", "20") as service:
        first = set(service.wait_for_workers(2))
        send(service)
        until(lambda: len(first - set(service.workers())) == 2, "the end of both first workers")

        wait_for_count(service, SENT)


def test_a_reload_loses_nothing(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "log", "-w", "2") as service:
        first = set(service.wait_for_workers(2))
        send(service)
        os.kill(service.pid, signal.SIGHUP)
        until(lambda: not first & set(service.workers()), "the end of the workers before the reload")
        send(service)

        wait_for_count(service, 2 * SENT)


def test_metrics_can_ask_for_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    env = {"OTEL_OBS_METRICS_TOKEN_FILE": str(tmp_path / "token")}
    with gunicorn(tmp_path / "log", "-w", "2", env=env) as service:
        assert service.get("/metrics").status == 401
        assert service.get("/metrics", {"Authorization": "Bearer wrong"}).status == 401
        assert service.get("/metrics", {"Authorization": "Bearer s3cret"}).status == 200


def test_a_port_of_its_own_survives_the_worker_that_held_it(tmp_path: Path) -> None:
    port = free_port()
    env = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(port), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}

    def counted() -> float:
        answer = request(f"http://127.0.0.1:{port}/metrics")
        return parse_samples(answer.text).value("http_requests_total", **ITEMS)

    with gunicorn(tmp_path / "log", "-w", "3", env=env) as service:
        workers = service.wait_for_workers(3)
        send(service)
        until(lambda: counted() == SENT, "every request on the port of its own")
        for worker in workers:
            service.kill(worker)
            service.wait_for_workers(3)
            send(service, 10)

        until(lambda: counted() == SENT + 10 * len(workers), "every request after each worker was killed")


def test_two_services_of_one_machine_do_not_mix(tmp_path: Path) -> None:
    with gunicorn(tmp_path / "a", "-w", "2") as one, gunicorn(tmp_path / "b", "-w", "2") as other:
        send(one, 30)
        send(other, 20)

        wait_for_count(one, 30)
        wait_for_count(other, 20)


def test_a_worker_that_can_reserve_no_shared_memory_serves_its_own_numbers(tmp_path: Path) -> None:
    # A full device cannot be had without privileges; a limit on the size of files refuses space just so.
    limited = "import resource, os, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    run = "os.execv(sys.argv[1], sys.argv[1:])"
    with Service(
        *(tool("python"), "-c", limited + run, *COMMAND, "-w", "1"),
        cwd=ROOT,
        log_file=tmp_path / "log",
        ready_path="/health",
    ) as service:
        send(service)

        wait_for_count(service, SENT)
