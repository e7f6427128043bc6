"""Services that were written for `prometheus_client`, with the import changed and nothing else."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service, tool
from tests.support.waiting import until
from tests.support.web import request

SERVICES = Path(__file__).parent / "services"
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "app:app")
UVICORN = (tool("uvicorn"), "--port", "{port}", "app:app")
WRAPPER = tool("opentelemetry-instrument")
SENT = 60
OWNED = (
    "'http_requests_total' is defined by the application; the one of otel_obs is not exposed; "
    "to see both, rename the application's, or ours with OTEL_OBS_NAMES or OTEL_OBS_NAMESPACE; "
    "OTEL_OBS_HTTP=off switches ours off. What the application counts with prometheus_client, or with "
    "otel_obs.prometheus, is added up over all workers too (OTEL_OBS_CLIENT)"
)


def migrate(service: str, tmp_path: Path) -> Path:
    """A copy of a service, with the import changed."""
    copy = tmp_path / service
    copy.mkdir()
    for source in (SERVICES / service).glob("*.py"):
        changed = re.sub(r"\bfrom prometheus_client\b", "from otel_obs.prometheus", source.read_text())
        (copy / source.name).write_text(changed)
    return copy


def run(service: str, tmp_path: Path, *command: str, env: dict[str, str] | None = None) -> Service:
    """The migrated service under a real server."""
    return Service(*command, cwd=migrate(service, tmp_path), env=env, log_file=tmp_path / "log")


def post(service: Service, path: str, times: int = SENT) -> list[int]:
    """Send requests, several at a time, so that every worker gets some."""
    with ThreadPoolExecutor(8) as pool:
        return list(
            pool.map(lambda _: request(service.url + path, method="POST", body=b"").status, range(times))
        )


def test_a_classifier_whose_metrics_are_mounted_by_a_dispatcher(tmp_path: Path) -> None:
    with run("classifier", tmp_path, *GUNICORN, "-w", "3") as service:
        assert post(service, "/predict/a.png") == [200] * SENT
        for _ in range(6):
            samples = service.scrape("/metrics")
            predicted = {"method": "POST", "endpoint": "/predict/a.png"}
            assert samples.value("http_requests_total", **predicted, status_code="200") == SENT
            assert samples.value("http_request_duration_seconds_count", **predicted) == SENT
            assert samples.total("predictions_total") == SENT
            assert samples.value("predictions_total", status="success") == samples.value(
                "inference_duration_seconds_count"
            )
            assert samples.value("cache_hit_rate") == 0.5
            assert 1 <= samples.value("cache_size_current") <= 3
            assert samples.value("app_info", version="1.4.0", environment="production") == 1
        # The least of all workers: 0 as long as one is still between making the gauge and setting it.
        until(lambda: service.scrape("/metrics").value("model_state") == 1, "the last worker's model")
        text = service.get("/metrics-text")
        assert text.headers["Content-Type"].startswith("text/plain; version=")
        assert "# HELP predictions_total Total predictions\n# TYPE predictions_total counter\n" in text.text


def test_a_chatbot_with_a_middleware_and_a_timer(tmp_path: Path) -> None:
    with run("chatbot", tmp_path, *UVICORN, "--workers", "2") as service:
        assert post(service, "/chat/7") == [200] * SENT
        ended = request(service.url + "/chat/7", method="DELETE").json()
        assert ended == {"sessions": SENT}
        for _ in range(6):
            samples = service.scrape("/metrics")
            chats = {"method": "POST", "endpoint": "/chat/{session_id}", "status": "200"}
            assert samples.value("http_requests_total", **chats) == SENT
            cleaner = {"category": "robot_cleaner"}
            assert samples.value("dialogue_sessions_total", **cleaner) == SENT
            assert samples.value("retrieval_duration_seconds_count", **cleaner) == SENT
            assert samples.value("scoring_duration_seconds_count") == SENT
            assert samples.value("reviews_evidence_count_sum", **cleaner) == 3 * SENT
            assert samples.value("reviews_evidence_count_bucket", **cleaner, le="2.0") == 0
            assert samples.value("requests_in_progress") == 0
            # Only the worker that ended the session has dropped its part.
            assert samples.total("active_evidence") <= 3


def test_an_agent_platform_with_a_registry_of_its_own(tmp_path: Path) -> None:
    with run("agents", tmp_path, *UVICORN, "--workers", "2") as service:
        assert post(service, "/run/planner") == [200] * SENT
        assert post(service, "/run/broken", 4) == [502] * 4
        for _ in range(6):
            samples = service.scrape("/metrics/")
            assert samples.value("agent_executions_total", agent="planner", status="success") == SENT
            assert samples.value("agent_executions_total", agent="broken", status="error") == 4
            assert samples.value("agent_duration_seconds_count", agent="planner") == SENT + 4
            assert samples.value("agent_duration_seconds_sum", agent="planner") >= 0.02 * (SENT + 4)
            assert samples.value("workflow_errors_total") == 4
            assert samples.value("workflows_active") == 0
            assert samples.value("context_size_bytes_count") == SENT + 4
            assert samples.value("context_size_bytes_sum") == 2048 * (SENT + 4)
            assert samples.value("platform_state", platform_state="ready") == 1
            assert samples.value("db_queries_total", operation="select") == 42
            assert samples.value("target_info", service="agents") == 1
            assert not samples.labels("python_info")
        until(lambda: service.scrape("/metrics/").value("queue_length") == 3, "the function's value")
        openmetrics = service.get("/metrics/", {"Accept": "application/openmetrics-text"}).text
        assert re.search(r'agent="broken",status="error"} 4.0 # {run_id="r-7"} 1.0 \d+', openmetrics)


def test_a_detector_written_for_the_multi_process_mode(tmp_path: Path) -> None:
    with run("detector", tmp_path, *GUNICORN, "-w", "3") as service:
        pids: set[int] = set()

        def all_workers() -> bool:
            assert post(service, "/detect/c1", 8) == [200] * 8
            frames = service.scrape("/metrics").labels("worker_frames")
            # No label where one worker alone has counted so far.
            pids.update(int(each["pid"]) for each in frames if "pid" in each)
            return len(pids) >= 3

        until(all_workers, "a request to each worker")
        sent = service.scrape("/metrics").value("detection_total", camera_id="c1", model_type="yolo")
        assert post(service, "/detect/c1") == [200] * SENT
        camera = {"camera_id": "c1", "model_type": "yolo"}
        for _ in range(6):
            samples = service.scrape("/metrics")
            assert samples.value("detection_total", **camera) == sent + SENT
            assert samples.value("detection_latency_seconds_bucket", **camera, le="0.1") == sent + SENT
            assert samples.total("worker_frames") == sent + SENT
            assert samples.value("cameras_open") == 6
        assert {int(each["pid"]) for each in samples.labels("worker_frames")} == set(service.workers())
        service.kill(service.workers()[0])
        until(lambda: service.scrape("/metrics").value("cameras_open") <= 4, "the dead worker's leaving")
        assert service.scrape("/metrics").value("detection_total", **camera) == sent + SENT


@pytest.mark.parametrize("service_name", ["classifier", "chatbot"])
def test_under_the_wrapper_a_request_is_counted_once(service_name: str, tmp_path: Path) -> None:
    server, path = {
        "classifier": ((*GUNICORN, "-w", "2"), "/predict/a.png"),
        "chatbot": ((*UVICORN, "--workers", "2"), "/chat/7"),
    }[service_name]
    with run(service_name, tmp_path, WRAPPER, *server) as service:
        assert post(service, path) == [200] * SENT
        for _ in range(4):
            samples = service.scrape("/metrics")
            posts = [
                value
                for (name, labels), value in samples.items()
                if name == "http_requests_total" and ("method", "POST") in labels
            ]
            assert posts == [SENT]
        assert "Traceback" not in service.log
        said = [line for line in service.log.splitlines() if "'http_requests_total'" in line]
        assert set(said) == {OWNED}
        assert len(said) <= 2  # by a worker each


def test_under_the_wrapper_a_request_is_pushed_once(tmp_path: Path) -> None:
    with OtlpReceiver() as receiver:
        env = {
            **receiver.environment("http/protobuf"),
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": "100",
        }
        with run("chatbot", tmp_path, WRAPPER, *UVICORN, "--workers", "2", env=env) as service:
            assert post(service, "/chat/7") == [200] * SENT
            chats = {"method": "POST", "endpoint": "/chat/{session_id}", "status": "200"}
            until(
                lambda: receiver.latest().total("http_requests", **chats) == SENT,
                "every request",
            )
            # Ours would have the label `status_code`.
            pushed = receiver.latest().labels("http_requests")
            assert {name for labels in pushed for name in labels} == {"method", "endpoint", "status"}
            assert receiver.latest().value("dialogue_sessions", category="robot_cleaner") == SENT
