"""Beyond one machine: two roads into a store that scales out, and counters that are equal on both."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.collector.roads import shop, use
from tests.ops.promtools import found
from tests.support.collector import Collector, variables
from tests.support.collector import find as find_collector
from tests.support.processes import Service
from tests.support.waiting import until
from tests.support.web import request

DIRECTORY = found("newer-debian", "victoria-metrics", "sid")
WAIT_S = 120.0
pytestmark = pytest.mark.skipif(
    DIRECTORY is None or find_collector("collector") is None, reason="make operations gets them"
)


def program(name: str) -> str:
    assert DIRECTORY is not None
    return str(DIRECTORY / name)


def store(directory: Path, port: int = 0) -> Service:
    """VictoriaMetrics, a single node; on the port of one before it where that is given."""
    listening = str(port) if port else "{port}"
    made = Service(
        program("victoria-metrics"),
        f"-storageDataPath={directory / 'data'}",
        f"-httpListenAddr=127.0.0.1:{listening}",
        log_file=directory / "store.log",
    )
    if port:
        made.port, made.url = port, f"http://127.0.0.1:{port}"
    return made


def agent(directory: Path, target: str, store_url: str) -> Service:
    """vmagent: it scrapes, and what it cannot send waits on its disk."""
    job = {"job_name": "shop", "scrape_interval": "500ms", "static_configs": [{"targets": [target]}]}
    (directory / "scrape.yml").write_text(json.dumps({"scrape_configs": [job]}))
    return Service(
        program("vmagent"),
        f"-promscrape.config={directory / 'scrape.yml'}",
        f"-remoteWrite.url={store_url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={directory / 'queue'}",
        "-remoteWrite.label=road=vmagent",
        "-remoteWrite.flushInterval=200ms",
        "-httpListenAddr=127.0.0.1:{port}",
        log_file=directory / "agent.log",
    )


def asked(url: str, query: str) -> float:
    """One number of the store; -1 where there is none yet."""
    answer = request(f"{url}/api/v1/query?latency_offset=1ms&query={quote(query)}").text
    result = json.loads(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else -1.0


ROADS = ('road="vmagent"', 'road=""')
TOTAL = 'sum(http_requests_total{endpoint=~"/predict/.*",%s})'


def settle(url: str, total: int) -> None:
    """Wait until both roads have brought so many requests."""

    def are_there() -> bool:
        found = [asked(url, TOTAL % road) for road in ROADS]
        assert found == [total] * len(ROADS), found
        return True

    until(are_there, f"{total} requests by both roads", WAIT_S)


def test_counters_are_equal_on_every_road_while_agent_and_store_are_killed_and_back(tmp_path: Path) -> None:
    with shop(tmp_path, {}) as service, store(tmp_path) as first:
        target = f"127.0.0.1:{service.port}"
        env = {**variables(f"{first.url}/api/v1/write"), "APP_JOB": "shop", "APP_TARGETS": f"[{target}]"}
        with Collector(tmp_path / "collector", env):
            with agent(tmp_path, target, first.url) as scraper:
                use(service)
                settle(first.url, 30)
                scraper.stop(signal.SIGKILL)
            # The agent is away: what happens meanwhile is in the totals that it scrapes next.
            use(service)
            with agent(tmp_path, target, first.url):
                settle(first.url, 60)
                # The store is away: both roads keep what they scrape.
                first.stop(signal.SIGKILL)
                use(service)
                with store(tmp_path, first.port) as second:
                    settle(second.url, 90)
                    shown = service.scrape()
    assert (
        sum(
            value
            for (name, labels), value in shown.items()
            if name == "http_requests_total" and ("status_code", "200") in labels
        )
        >= 90
    )
