"""The detector under gunicorn and under Flask's development server, with the names that it has chosen."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.processes import Service, tool
from tests.support.prometheus import prometheus_server
from tests.support.samples import Samples
from tests.support.systems import EXAMPLES, OfflineLlm, gunicorn, label_names, settings, when
from tests.support.waiting import until

FRAMES = {"entrance": 40, "yard": 25, "street": 10}
PER_REQUEST = 5
DESCRIPTIONS = 8
LOOKS = sum(FRAMES.values()) // PER_REQUEST
ANNOUNCED = "Prometheus metrics endpoint enabled at /metrics"
KEYS = "main=valid-1,spare=revoked-1"


def drive(service: Service) -> Samples:
    """Send what the constants above say, one by one; every metric once all of it is counted."""
    for camera, frames in FRAMES.items():
        for _ in range(frames // PER_REQUEST):
            assert service.post(f"/cameras/{camera}/frames?count={PER_REQUEST}", {}).status == 200
    for _ in range(DESCRIPTIONS):
        assert service.post("/cameras/yard/description", {}).status == 200
    return when(service, "flask_http_request_total", LOOKS + DESCRIPTIONS)


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineLlm]:
    with OfflineLlm(tmp_path_factory.mktemp("llm") / "log") as running:
        yield running


@pytest.fixture(scope="module")
def service(llm: OfflineLlm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log_file = tmp_path_factory.mktemp("detector") / "log"
    with gunicorn("detector", log_file, {**llm.urls, "GEMINI_KEYS": KEYS}) as running:
        running.wait_for_workers(2)
        yield running


@pytest.fixture(scope="module")
def samples(service: Service) -> Samples:
    return drive(service)


class DevelopmentServer(Service):
    """`python app.py`, which reads its port from the environment."""

    def __init__(
        self, log_file: Path, env: Mapping[str, str], *wrapper: str, ready_path: str = "/metrics"
    ) -> None:
        super().__init__(
            *(*wrapper, sys.executable, "app.py"),
            cwd=EXAMPLES / "detector",
            env={**settings("detector"), **env},
            log_file=log_file,
            ready_path=ready_path,
        )
        self._env["PORT"] = str(self.port)


def test_the_metrics_have_the_names_and_labels_of_the_dashboards(samples: Samples) -> None:
    shown = {
        family: names
        for family, names in label_names(samples).items()
        if not family.startswith(("python_", "process_", "system_", "otel_obs_", "target_info"))
    }

    assert shown == {
        "flask_http_request_total": {"method", "endpoint", "status_code"},
        "http_request_duration_seconds": {"method", "endpoint"},
        "http_requests_in_progress": {"method"},
        "detection_total": {"camera_id", "model_type"},
        "detection_latency_seconds": {"camera_id", "model_type"},
        "detection_objects": set(),
        "detection_groups": set(),
        "llm_requests_total": {"provider", "status"},
        "llm_latency_seconds": {"provider"},
        "llm_tokens_total": {"provider", "type"},
        "api_key_successes_total": {"key_id"},
        "api_key_failures_total": {"key_id"},
        "api_key_success_rate": {"key_id"},
    }


def test_the_interpreter_and_the_process_are_shown_as_prometheus_client_shows_them(samples: Samples) -> None:
    assert samples.total("python_info") == 1
    assert samples.total("python_gc_objects_collected_total") > 0
    assert samples.value("process_resident_memory_bytes") > 2 * 20e6  # two workers
    assert samples.value("process_cpu_seconds_total") > 0


def test_every_frame_is_counted_by_camera_and_model(samples: Samples) -> None:
    for camera, frames in FRAMES.items():
        labels = {"camera_id": camera, "model_type": "components"}
        described = DESCRIPTIONS if camera == "yard" else 0
        assert samples.value("detection_total", **labels) == frames + described
        assert samples.value("detection_latency_seconds_count", **labels) == frames + described


def test_the_detector_finds_what_the_cameras_show(samples: Samples) -> None:
    frames = samples.total("detection_total")

    assert samples.value("detection_objects_count") == samples.value("detection_groups_count") == frames
    assert 2 * frames < samples.value("detection_objects_sum") <= 7 * frames
    assert samples.value("detection_groups_sum") <= samples.value("detection_objects_sum")


def test_histograms_have_their_buckets(samples: Samples) -> None:
    labels = {"camera_id": "yard", "model_type": "components"}

    assert samples.bounds("detection_latency_seconds", **labels) == [
        "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "+Inf",
    ]  # fmt: skip
    assert samples.bounds("llm_latency_seconds", provider="gemini") == [
        "0.5", "1.0", "2.0", "5.0", "10.0", "20.0", "30.0", "+Inf",
    ]  # fmt: skip


def test_the_success_rate_of_a_key_is_that_of_all_workers(samples: Samples) -> None:
    assert samples.value("api_key_success_rate", key_id="main") == 1.0
    assert samples.value("api_key_success_rate", key_id="spare") == 0.0
    assert samples.value("api_key_successes_total", key_id="main") == DESCRIPTIONS
    failures = samples.value("api_key_failures_total", key_id="spare")
    assert samples.value("llm_requests_total", provider="gemini", status="success") == DESCRIPTIONS
    assert samples.value("llm_requests_total", provider="gemini", status="error") == failures
    assert samples.value("llm_latency_seconds_count", provider="gemini") == DESCRIPTIONS + failures


def test_the_key_itself_is_nowhere(service: Service) -> None:
    exposition = service.get("/metrics").text

    assert "revoked-1" not in exposition
    assert "valid-1" not in exposition


def test_a_key_that_fails_now_and_then_has_a_rate_in_between(
    service: Service, llm: OfflineLlm, samples: Samples
) -> None:
    llm.fail("gemini", every=3)
    try:
        answers = [service.post("/cameras/yard/description", {}).status for _ in range(12)]
    finally:
        llm.fail("gemini", every=0)
    after = service.scrape()
    successes = after.value("api_key_successes_total", key_id="main")
    failures = after.value("api_key_failures_total", key_id="main")

    assert {200} <= set(answers) <= {200, 503}
    assert failures > 0
    assert after.value("api_key_success_rate", key_id="main") == pytest.approx(
        successes / (successes + failures)
    )


def test_its_log_says_where_the_metrics_are(service: Service) -> None:
    until(lambda: service.log.count(ANNOUNCED) >= 2, "the announcement of both workers")


@pytest.mark.prometheus
@pytest.mark.parametrize("wrapper", [(), (tool("opentelemetry-instrument"),)], ids=["alone", "wrapped"])
def test_under_the_development_server_a_real_prometheus_finds_it_up(
    tmp_path: Path, llm: OfflineLlm, wrapper: tuple[str, ...]
) -> None:
    env = {**llm.urls, "GEMINI_KEYS": KEYS}
    with DevelopmentServer(tmp_path / "log", env, *wrapper) as service:
        target = f"127.0.0.1:{service.port}"
        with prometheus_server(tmp_path / "prometheus", {"detector": target}) as prometheus:
            samples = drive(service)
            until(
                lambda: prometheus.value("sum(detection_total)") == sum(FRAMES.values()) + DESCRIPTIONS,
                "every detection in Prometheus",
            )
            assert prometheus.target_health("detector") == ("up", "")
        assert service.log.count(ANNOUNCED) == 1
        assert " 404 " not in service.log

    assert samples.value("api_key_success_rate", key_id="main") == 1.0
    assert samples.total("flask_http_request_total", endpoint="/cameras/<camera_id>/frames") == LOOKS


@pytest.mark.parametrize("server", ["gunicorn", "development"])
def test_switched_off_it_detects_and_says_nothing(tmp_path: Path, server: str) -> None:
    env = {"OTEL_OBS_ENABLED": "false"}
    log_file = tmp_path / "log"
    with (
        gunicorn("detector", log_file, env, ready_path="/health")
        if server == "gunicorn"
        else DevelopmentServer(log_file, env, ready_path="/health")
    ) as service:
        found = service.post("/cameras/yard/frames?count=2", {})
        assert found.status == 200
        assert len(found.json()["frames"]) == 2
        assert service.get("/metrics").status == 404
        assert ANNOUNCED not in service.log


def test_what_it_cannot_look_at_is_refused_and_not_counted(service: Service) -> None:
    before = service.scrape().total("detection_total")

    assert service.post("/cameras/roof/frames", {}).json() == {
        "error": "there is no camera 'roof'; expected one of entrance, yard, street"
    }
    assert service.post("/cameras/yard/frames?count=101", {}).status == 400
    assert service.scrape().total("detection_total") == before


def test_nothing_is_lost_when_a_worker_is_killed(service: Service, samples: Samples) -> None:
    before = service.scrape()
    service.kill(service.wait_for_workers(2)[0])
    service.wait_for_workers(2)
    assert service.post("/cameras/street/frames?count=5", {}).status == 200

    after = when(service, "detection_total", before.total("detection_total") + 5)
    assert after.value("api_key_success_rate", key_id="main") == before.value(
        "api_key_success_rate", key_id="main"
    )
