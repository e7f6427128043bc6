"""Every example of every `--help` is run as it stands, with addresses and files of the test in its place."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from otel_obs.demonstration import serving_shop
from otel_obs.live.loopback import LiveServer
from otel_obs.ops.stack.processes import PartState
from tests.cli.test_arguments import COMMANDS, told
from tests.support.endpoints import Endpoint, Reply

EXAMPLES = [
    (name, line.strip())
    for name, command in COMMANDS.items()
    for line in command.epilog.splitlines()
    if line.startswith("    ")
]
PAGE = """\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{method="GET",endpoint="/",status_code="200"} 5
# HELP cache_size Entries.
# TYPE cache_size gauge
cache_size 3
"""
SERIES = {"__name__": "cache_size", "job": "shop"}
RULE = "groups: [{name: g, rules: [{record: a, expr: sum(http_requests_total)}]}]\n"
BOARD = json.dumps({"title": "b", "panels": [{"title": "p", "targets": [{"expr": "cache_size"}]}]})
CODE = "from prometheus_client import multiprocess\n"


def reply(accept: str, before: int) -> Reply:
    """A page of metrics, or the rules of a Prometheus that has none."""
    if "json" not in accept:
        return Reply(PAGE.encode())
    return Reply(b'{"status": "success", "data": {"groups": []}}', "application/json")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with every file that an example names; nothing is started and stays."""
    monkeypatch.chdir(tmp_path)
    for name in ("page.prom", "before.prom"):
        (tmp_path / name).write_text(PAGE)
    (tmp_path / "token.txt").write_text("secret\n")
    for folder, name, text in (
        ("rules", "r.yml", RULE),
        ("dashboards", "d.json", BOARD),
        ("grafana", "d.json", BOARD),
        ("src", "a.py", CODE),
        ("monitoring/log", "prometheus.log", "ready\n"),
        ("monitoring/log", "alertmanager.log", "ready\n"),
    ):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "app.py").write_text(CODE)
    monkeypatch.setattr(LiveServer, "serve_forever", lambda self: None)
    monkeypatch.setattr("otel_obs.cli.demo.Customers", Nothing)
    monkeypatch.setattr(serving_shop.ShopService, "__enter__", lambda self: self)
    monkeypatch.setattr(serving_shop.ShopService, "__exit__", lambda self, *error: self._listener.close())
    monkeypatch.setattr(serving_shop.ShopService, "wait_until_ready", lambda self: None)
    started = [PartState("prometheus", os.getpid(), 9090, True, "prometheus.log")]
    monkeypatch.setattr("otel_obs.cli.stack.start_stack", lambda *given, **more: started)
    monkeypatch.setattr("otel_obs.cli.stack.stack_state", lambda root: started)
    monkeypatch.setattr("otel_obs.cli.stack.fetch_release", lambda release, root, *given: root / "bin")
    return tmp_path


class Nothing:
    """Stands for customers; a context manager."""

    def __init__(self, *given: object) -> None:
        """Take what customers take."""

    def __enter__(self) -> None:
        """Ask for nothing."""

    def __exit__(self, *error: object) -> None:
        """End nothing."""


@pytest.mark.parametrize(("name", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
def test_an_example_is_right_use(name: str, line: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(line.partition(" > ")[0])
    monkeypatch.setattr("otel_obs.usage.analyze.PrometheusApi.names", lambda self: frozenset({"cache_size"}))
    monkeypatch.setattr("otel_obs.usage.analyze.PrometheusApi.series", lambda self, matcher: [SERIES])
    with Endpoint(reply) as endpoint:
        addresses = ("localhost:8000", ":8000", ":8001", "https://shop.example/metrics", ":9090")
        given = dict.fromkeys(addresses, endpoint.url)
        given |= {"https://prometheus.example": endpoint.url, "4711": str(os.getpid())}

        done = told(*(given.get(word, word) for word in words))

    assert program == "otel-obs"
    assert words[: len(name.split())] == name.split()
    assert done.code in (0, 1), done
    assert "--json" not in words or json.loads(done.out) is not None


def test_every_command_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == COMMANDS.keys()
