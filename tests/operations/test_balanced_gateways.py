"""Two agents, two gateways behind nginx, a real store: killed one by one, and nothing is wrong after."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.collector.roads import shop, use
from tests.operations.test_scale_out import DIRECTORY, asked, store
from tests.support.collector import Collector, variables
from tests.support.collector import find as find_collector
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port
from tests.support.processes import Service
from tests.support.programs import ROOT
from tests.support.tap import Tap
from tests.support.waiting import until

NGINX = shutil.which("nginx")
WAIT_S = 180.0
KNOWN = {"GATEWAY_USER": "agent", "GATEWAY_PASSWORD": "a-password"}
MACHINES = ("127.0.0.1", "127.0.0.2")
pytestmark = [
    pytest.mark.skipif(
        DIRECTORY is None or find_collector("collector") is None or NGINX is None,
        reason="make operations gets them",
    ),
    pytest.mark.timeout(900),
]


def balancer(directory: Path, ports: list[int]) -> Service:
    """nginx with the shipped configuration; a machine shows in the address that its agent asks."""
    text = (ROOT / "collector" / "nginx-gateways.conf").read_text()
    for number, port in enumerate(ports, 1):
        text = text.replace(f"gateway-{number}:4318", f"127.0.0.1:{port}")
    # Both agents come from one address here, so that their own is the one of the server that they ask.
    text = text.replace("hash $remote_addr", "hash $server_addr").replace(
        "fail_timeout=5s", "fail_timeout=1s"
    )
    port = free_port()
    text = re.sub(r"listen 4318;.*", "".join(f"listen {machine}:{port};" for machine in MACHINES), text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {directory / kind};\n" for kind in kinds)
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off;\npid {directory}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n{places}{text}\n}}\n"
    )
    made = Service(
        str(NGINX),
        *("-p", str(directory), "-c", str(file)),
        log_file=directory / "nginx.log",
        ready_path="/",
    )
    made.port, made.url = port, f"http://{MACHINES[0]}:{port}"
    return made


def gateway(directory: Path, store_url: str, traces_url: str) -> Collector:
    """A gateway that is ready to run, again and again, at the same port."""
    env = variables(f"{store_url}/api/v1/write", traces_url)
    return Collector(directory, {**env, **KNOWN}, "gateway.yaml")


def agent(directory: Path, address: str, job: str, target: str) -> Collector:
    """An agent that is ready to run, again and again, with the same queue."""
    env = {**KNOWN, "GATEWAY_URL": address, "APP_JOB": job, "APP_TARGETS": f"[{target}]"}
    exporter = "--set=exporters.otlp_http/gateway"
    options = (
        f"{exporter}.sending_queue.batch.flush_timeout=50ms",
        f"{exporter}.retry_on_failure.initial_interval=200ms",
        f"{exporter}.retry_on_failure.max_interval=1s",
    )
    return Collector(directory, env, "agent.yaml", options)


class Machine(NamedTuple):
    """A service, what passes scrapes on to it, and the agent beside it."""

    job: str
    service: Service
    tap: Tap
    agent: Collector


class Landscape(NamedTuple):
    """Everything that runs."""

    machines: list[Machine]
    gateways: list[Collector]
    store_url: str

    def use(self) -> None:
        """Some requests on both machines, a different number on each."""
        for number, machine in enumerate(self.machines):
            use(machine.service, 5 + number)

    def settle(self) -> None:
        """Wait until the store has of both machines what the services themselves show."""
        for machine in self.machines:
            shown = {
                name: machine.service.scrape().total(name)
                for name in ("http_requests_total", "predictions_total")
            }

            def is_equal(job: str = machine.job, shown: dict[str, float] = shown) -> bool:
                there = {name: asked(self.store_url, f'sum({name}{{job="{job}"}})') for name in shown}
                assert there == shown
                return True

            until(is_equal, f"the counters of {machine.job}", WAIT_S)

    def in_store(self, job: str, begin_s: float, end_s: float) -> float:
        """How many scrapes of a job the store has of a stretch of time."""
        return asked(
            self.store_url, f'count_over_time(up{{job="{job}"}}[{end_s - begin_s:.3f}s] @ {end_s:.3f})'
        )


@pytest.fixture
def landscape(tmp_path: Path) -> Iterator[Landscape]:
    with contextlib.ExitStack() as stack:
        traces = stack.enter_context(OtlpReceiver())
        stored = stack.enter_context(store(tmp_path))
        traces_url = f"http://127.0.0.1:{traces.http_port}/otlp"
        gateways = [
            stack.enter_context(gateway(tmp_path / f"gateway{number}", stored.url, traces_url))
            for number in (1, 2)
        ]
        front = stack.enter_context(balancer(tmp_path, [each.http_port for each in gateways]))
        machines = []
        for number, address in enumerate(MACHINES):
            directory = tmp_path / f"machine{number}"
            directory.mkdir()
            service = stack.enter_context(shop(directory, {}, workers=2))
            tap = stack.enter_context(Tap())
            tap.url = service.url
            job = f"shop{number}"
            collector = agent(directory / "agent", f"http://{address}:{front.port}", job, tap.target)
            machines.append(Machine(job, service, tap, stack.enter_context(collector)))
        yield Landscape(machines, gateways, stored.url)


def taken(gateway: Collector) -> float:
    """How many samples a gateway has taken from agents since it started."""
    own = Service("", log_file="/dev/null")
    own.url = f"http://127.0.0.1:{gateway.own_port}"
    return own.scrape().total("otelcol_receiver_accepted_metric_points_total")


def test_counters_are_equal_while_gateways_and_agents_are_killed_and_back(landscape: Landscape) -> None:
    first, second = landscape.gateways
    landscape.use()
    landscape.settle()
    busy = max(landscape.gateways, key=taken)

    # The gateway that takes most is gone: its agents go to the other one, and come back to it.
    busy.stop(signal.SIGKILL)
    landscape.use()
    landscape.settle()
    with busy:
        landscape.use()
        landscape.settle()
        until(lambda: taken(busy) > 0, "agents are back at their gateway", WAIT_S)

        # Both are gone: what is scraped waits on the agents' disks, over a kill of an agent too.
        machine = landscape.machines[0]
        for each in (first, second):
            each.stop(signal.SIGKILL)
        begin_s, before = time.time(), len(machine.tap.scrapes)
        landscape.use()
        until(lambda: len(machine.tap.scrapes) >= before + 5, "scrapes without a gateway", WAIT_S)
        waiting, end_s = len(machine.tap.scrapes) - before, time.time()
        machine.agent.stop(signal.SIGKILL)
        landscape.use()
        with first, second, machine.agent:
            landscape.settle()
            # But one that began before, and one between the scraper and the disk when the agent is killed.
            on_disk = waiting - 2
            until(
                lambda: landscape.in_store(machine.job, begin_s, end_s) >= on_disk,
                "what waited on disk",
                WAIT_S,
            )
