"""Agents under uvicorn with two workers: every name prefixed, and a /metrics of the application's own."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otel_obs import catalog
from tests.support.postgres import MISSING, binary, postgres_server
from tests.support.processes import Service
from tests.support.samples import Samples, parse_samples
from tests.support.systems import EXAMPLES, OfflineLlm, label_names, uvicorn, when
from tests.support.waiting import until

NOTES = [
    "Green tea is steeped at 80 degrees. It is not fermented.",
    "Black tea is fermented, and steeped at 100 degrees. It keeps for years.",
    "Tea came to Europe in the 17th century.",
]
HEALTH, BRIEFS, DIGESTS = 5, 6, 4
AGENT_RUNS = {"researcher": BRIEFS + DIGESTS, "writer": BRIEFS + DIGESTS, "editor": DIGESTS}
RUNS = BRIEFS + DIGESTS
# The notes, the workflows, one that has nothing to work on, one whose title is taken, one that is not there.
REQUESTS = HEALTH + 1 + RUNS + 3


def drive(service: Service) -> Samples:
    """Send what the constants above say; every metric once all of it is counted."""
    for _ in range(HEALTH):
        assert service.get("/health").status == 200
    assert service.post("/topics/tea/notes", {"texts": NOTES}).json() == {"notes": 3}
    for workflow, times in ("brief", BRIEFS), ("digest", DIGESTS):
        for number in range(times):
            order = {"topic": "tea", "title": f"{workflow} {number}"}
            assert service.post(f"/workflows/{workflow}", order).status == 201
    for topic, title, workflow, status in (
        ("coffee", "none", "brief", 409),
        ("tea", "brief 0", "brief", 409),
        ("tea", "any", "no", 404),
    ):
        order = {"topic": topic, "title": title}
        assert service.post(f"/workflows/{workflow}", order).status == status
    return when(service, "sparklio_http_requests_total", REQUESTS)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("sparklio")
    env = {"DATABASE_URL": f"sqlite:///{directory / 'sparklio.db'}"}
    with uvicorn("sparklio", directory / "log", env) as running:
        yield running


@pytest.fixture(scope="module")
def samples(service: Service) -> Samples:
    return drive(service)


def test_five_calls_are_five_under_the_prefix(service: Service, samples: Samples) -> None:
    shown = [line for line in service.get("/metrics").text.splitlines() if '"/health"' in line]

    assert 'sparklio_http_requests_total{method="GET",endpoint="/health",status_code="200"} 5.0' in shown


def test_every_name_of_the_application_has_the_prefix(samples: Samples) -> None:
    shown = {
        family.removeprefix("sparklio_"): names
        for family, names in label_names(samples).items()
        if family.startswith("sparklio_")
    }
    others = {name for name, _ in samples if not name.startswith("sparklio_")}
    for runtime in "system_memory_percent", "system_cpu_percent", "process_memory_bytes", "python_threads":
        shown.pop(runtime)
    for threads in "limit", "used", "waiting":
        shown.pop(f"worker_thread_tokens_{threads}")
    for late in "event_loop_lag_seconds", "python_gc_pause_seconds":
        shown.pop(late, None)

    assert shown == {
        "http_requests_total": {"method", "endpoint", "status_code"},
        "http_request_duration_seconds": {"method", "endpoint"},
        "http_requests_in_progress": {"method"},
        "agent_executions_total": {"agent", "status"},
        "agent_duration_seconds": {"agent"},
        "workflows_total": {"workflow", "status"},
        "workflows_active": set(),
        "workflow_duration_seconds": {"workflow"},
        "context_size_bytes": set(),
        "llm_calls_total": {"provider", "status"},
        "llm_duration_seconds": {"provider"},
        "llm_tokens_total": {"provider", "type"},
        "db_queries_total": {"operation", "status"},
        "db_query_duration_seconds": {"operation"},
        "db_connections": {"state"},
    }
    assert {name.partition("_")[0] for name in others} == {"otel", "process", "python", "target"}


@pytest.mark.parametrize(
    ("histogram", "labels", "bounds"),
    [
        (
            "http_request_duration_seconds",
            {"method": "GET", "endpoint": "/health"},
            ".01 .05 .1 .5 1 2.5 5 10 30",
        ),
        ("agent_duration_seconds", {"agent": "writer"}, ".1 .5 1 2 5 10 30 60 120"),
        ("workflow_duration_seconds", {"workflow": "brief"}, ".5 1 5 10 30 60 120 300 600"),
        ("context_size_bytes", {}, "1e3 4e3 16e3 64e3 256e3 1e6 4e6"),
        ("llm_duration_seconds", {"provider": "offline"}, ".5 1 2 5 10 20 30"),
        ("db_query_duration_seconds", {"operation": "SELECT"}, ".001 .005 .01 .05 .1 .5 1 5 10"),
    ],
)
def test_histograms_have_the_buckets_of_the_catalog(
    samples: Samples, histogram: str, labels: dict[str, str], bounds: str
) -> None:
    shown = samples.bounds(f"sparklio_{histogram}", **labels)

    assert [float(bound) for bound in shown] == [*map(float, bounds.split()), float("inf")]


def test_agents_and_workflows_are_counted_by_outcome(samples: Samples) -> None:
    for agent, runs in AGENT_RUNS.items():
        # One brief was thrown away because its title was taken: two agents had worked on it.
        thrown_away = 0 if agent == "editor" else 1
        assert (
            samples.value("sparklio_agent_executions_total", agent=agent, status="success")
            == runs + thrown_away
        )
    assert samples.value("sparklio_agent_executions_total", agent="researcher", status="error") == 1
    assert samples.value("sparklio_workflows_total", workflow="brief", status="success") == BRIEFS
    assert samples.value("sparklio_workflows_total", workflow="digest", status="success") == DIGESTS
    assert samples.value("sparklio_workflows_total", workflow="brief", status="error") == 2
    assert samples.total("sparklio_workflow_duration_seconds_count") == RUNS + 2
    assert samples.value("sparklio_workflows_active") == 0


def test_every_call_of_a_model_has_a_context_tokens_and_a_duration(samples: Samples) -> None:
    calls = samples.value("sparklio_llm_calls_total", provider="offline", status="success")

    assert calls == sum(AGENT_RUNS.values()) + 2
    assert samples.value("sparklio_llm_duration_seconds_count", provider="offline") == calls
    assert samples.value("sparklio_context_size_bytes_count") == calls
    assert samples.value("sparklio_llm_tokens_total", provider="offline", type="prompt") > calls


def test_queries_and_connections_of_the_database_are_shown(service: Service, samples: Samples) -> None:
    # One for each brief, and one for each note or for all of them.
    inserted = samples.value("sparklio_db_queries_total", operation="INSERT", status="success")
    assert RUNS + 1 <= inserted <= RUNS + len(NOTES)
    assert samples.value("sparklio_db_queries_total", operation="INSERT", status="error") == 1
    assert samples.value("sparklio_db_queries_total", operation="SELECT", status="success") >= RUNS
    # Pools are looked at every few seconds.
    until(
        lambda: service.scrape().value("sparklio_db_connections", state="idle") >= 1, "a connection at rest"
    )


def test_its_own_metrics_route_shows_all_workers_and_is_not_counted(
    service: Service, samples: Samples
) -> None:
    assert samples.total("sparklio_http_requests_total") == REQUESTS
    # Who answers a scrape has recorded something, too; which worker that is, is chance.
    until(lambda: service.scrape().value("otel_obs_workers") == 2, "an answer of the other worker")
    expositions = [service.get("/metrics") for _ in range(10)]

    assert {answer.headers["Content-Type"] for answer in expositions} == {
        "text/plain; version=0.0.4; charset=utf-8"
    }
    assert {
        parse_samples(answer.text).total("sparklio_http_requests_total") for answer in expositions
    } == {REQUESTS}  # fmt: skip


def monitoring() -> ModuleType:
    file = EXAMPLES / "sparklio" / "monitoring" / "prometheus_metrics.py"
    spec = importlib.util.spec_from_file_location("sparklio_metrics", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_monitoring_module_offers_what_its_code_imports() -> None:
    offered = monitoring()

    assert {
        name: getattr(offered, name).declaration.family
        for name in offered.__all__
        if name != "metrics_endpoint"
    } == {
        "request_counter": "http_requests_total",
        "request_latency": "http_request_duration_seconds",
        "agent_execution_counter": "agent_executions_total",
        "agent_latency": "agent_duration_seconds",
        "llm_tokens_used": "llm_tokens_total",
        "llm_latency": "llm_duration_seconds",
        "workflow_counter": "workflows_total",
        "workflow_latency": "workflow_duration_seconds",
        "active_workflows": "workflows_active",
        "context_size_bytes": "context_size_bytes",
    }
    assert offered.request_counter is catalog.http_requests_total
    assert callable(offered.metrics_endpoint)


class HeldModel:
    """An OpenAI-compatible API whose answers wait until they are released."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Semaphore(0), threading.Event()
        held = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                held.asked.release()
                held.released.wait(30)
                usage = {"prompt_tokens": 1, "completion_tokens": 1}
                body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HeldModel:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def test_workflows_are_active_while_they_wait_for_a_model(tmp_path: Path) -> None:
    with HeldModel() as model, ThreadPoolExecutor() as pool:
        env = {"DATABASE_URL": f"sqlite:///{tmp_path / 'sparklio.db'}", "OPENAI_URL": model.url}
        with uvicorn("sparklio", tmp_path / "log", env) as service:
            assert service.post("/topics/tea/notes", {"texts": NOTES}).status == 201
            orders = [{"topic": "tea", "title": f"tea {number}"} for number in range(3)]
            running = [pool.submit(service.post, "/workflows/brief", order) for order in orders]
            for _ in running:
                assert model.asked.acquire(timeout=20)

            active = service.scrape()
            model.released.set()
            answers = [each.result().status for each in running]
            ended = when(service, "sparklio_workflows_total", 3)

    assert active.value("sparklio_workflows_active") == 3
    assert active.value("sparklio_http_requests_in_progress", method="POST") == 3
    assert answers == [201, 201, 201]
    assert ended.value("sparklio_workflows_active") == 0
    assert ended.value("sparklio_llm_calls_total", provider="openai", status="success") == 6


def test_a_model_over_http_that_fails_is_an_error_of_call_agent_and_workflow(tmp_path: Path) -> None:
    with OfflineLlm(tmp_path / "llm.log") as llm:
        llm.fail("openai")
        env = {**llm.urls, "DATABASE_URL": f"sqlite:///{tmp_path / 'sparklio.db'}"}
        with uvicorn("sparklio", tmp_path / "log", env) as service:
            assert service.post("/topics/tea/notes", {"texts": NOTES}).status == 201
            assert service.post("/workflows/brief", {"topic": "tea", "title": "tea"}).status == 500
            samples = when(service, "sparklio_http_requests_total", 2)

    assert samples.value("sparklio_llm_calls_total", provider="openai", status="error") == 1
    assert samples.value("sparklio_agent_executions_total", agent="researcher", status="error") == 1
    assert samples.value("sparklio_workflows_total", workflow="brief", status="error") == 1
    assert (
        samples.value(
            "sparklio_http_requests_total",
            method="POST",
            endpoint="/workflows/{workflow}",
            status_code="500",
        )
        == 1
    )


@pytest.mark.skipif(binary("initdb") is None, reason=MISSING)
def test_on_postgresql_two_workers_start_at_once_and_count_the_same(tmp_path: Path) -> None:
    with postgres_server() as url:
        env = {"DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://")}
        with uvicorn("sparklio", tmp_path / "log", env) as service:
            # A worker is one from its import on, and makes the tables later, as it begins to serve.
            until(
                lambda: service.scrape().total("sparklio_db_queries_total", operation="CREATE") == 6, "tables"
            )
            samples = drive(service)
            # Another worker's pool is looked at every few seconds.
            until(
                lambda: service.scrape().value("sparklio_db_connections", state="idle") >= 1,
                "a connection at rest",
            )

    assert samples.value("otel_obs_workers") == 2
    assert samples.value("sparklio_db_queries_total", operation="CREATE", status="success") == 6
    assert samples.value("sparklio_db_queries_total", operation="INSERT", status="success") >= RUNS + 1
    assert samples.value("sparklio_db_queries_total", operation="INSERT", status="error") == 1
    assert samples.value("sparklio_workflows_total", workflow="brief", status="success") == BRIEFS
