from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from otel_obs import Timer, track_time
from otel_obs.catalog import detection_total, errors_total, llm_calls_total, llm_tokens_total
from otel_obs.catalog.app import app_info
from otel_obs.catalog.kit.kinds import (
    CounterMetric,
    HistogramMetric,
    ObservableGaugeMetric,
    UpDownCounterMetric,
)
from otel_obs.catalog.kit.metric import install, uninstall
from otel_obs.catalog.kit.naming import ANY, Naming
from otel_obs.catalog.pipeline import active_evidence_gauge, retrieval_duration_seconds
from otel_obs.errors import DeclarationError, SettingError
from otel_obs.sdk import MeterProvider
from tests.catalog.conftest import Service

CAMERA = {"camera_id": "1", "model_type": "yolov8n"}


def test_nothing_happens_before_there_is_a_provider() -> None:
    detection_total.add(1, CAMERA)
    detection_total.labels(**CAMERA).inc()
    retrieval_duration_seconds.bind({"category": "toys"}).record(0.1)
    active_evidence_gauge.set(1, {"category": "toys", "session_id": "1"})
    detection_total.remove(CAMERA)
    app_info.drop("reason", "detail")


def test_a_metric_that_nobody_uses_is_not_exposed(service: Service) -> None:
    assert service.scrape() == ""


def test_both_manners_record_to_one_series(service: Service) -> None:
    detection_total.add(1, CAMERA)
    detection_total.bind(CAMERA).add(2)
    detection_total.labels(camera_id="1", model_type="yolov8n").inc()
    detection_total.labels("1", "yolov8n").inc(3)
    detection_total.labels(model_type="yolov8n", camera_id=1).add(1)
    assert service.family("detection_total") == [
        "# HELP detection_total Total detections",
        "# TYPE detection_total counter",
        'detection_total{camera_id="1",model_type="yolov8n"} 8.0',
    ]


def test_labels_are_resolved_once(service: Service) -> None:
    first = detection_total.labels(camera_id="1", model_type="yolov8n")
    assert detection_total.labels(camera_id="1", model_type="yolov8n") is first
    assert detection_total.bind(CAMERA) is first


def test_every_kind_has_the_methods_of_both_manners(service: Service) -> None:
    seconds = HistogramMetric("block_seconds", "Block", unit="s", bounds=(1, 2))
    active = UpDownCounterMetric("blocks_active", "Active", attributes={"block": ANY})
    seconds.observe(0.5)
    seconds.record(1.5)
    seconds.bind().observe(3)
    active.add(2, {"block": "a"})
    active.labels("a").dec()
    active.labels("a").inc(4)
    active.inc()
    active.dec(3)
    active_evidence_gauge.labels("toys", "s1").set(7)
    assert service.scrape().splitlines() == [
        "# HELP block_seconds Block",
        "# TYPE block_seconds histogram",
        'block_seconds_bucket{le="1.0"} 1.0',
        'block_seconds_bucket{le="2.0"} 2.0',
        'block_seconds_bucket{le="+Inf"} 3.0',
        "block_seconds_count 3.0",
        "block_seconds_sum 5.0",
        "# HELP blocks_active Active",
        "# TYPE blocks_active gauge",
        'blocks_active{block="a"} 5.0',
        "blocks_active -2.0",
        "# HELP active_evidence_gauge Pieces of evidence that a session holds",
        "# TYPE active_evidence_gauge gauge",
        'active_evidence_gauge{category="toys",session_id="s1"} 7.0',
    ]


def test_handles_outlive_installations(start: Callable[..., Service]) -> None:
    early = detection_total.labels("1", "early")
    early.inc()
    first = start()
    early.inc()
    late = detection_total.bind({"camera_id": 1, "model_type": "late"})
    late.add(1)
    second = start()
    early.inc(5)
    late.add(5)
    detection_total.add(5, CAMERA)
    assert first.samples() == [
        'detection_total{camera_id="1",model_type="early"} 1.0',
        'detection_total{camera_id="1",model_type="late"} 1.0',
    ]
    assert second.samples() == [
        'detection_total{camera_id="1",model_type="early"} 5.0',
        'detection_total{camera_id="1",model_type="late"} 5.0',
        'detection_total{camera_id="1",model_type="yolov8n"} 5.0',
    ]
    uninstall()
    early.inc()
    assert second.samples('detection_total{camera_id="1",model_type="early"}') == [
        'detection_total{camera_id="1",model_type="early"} 5.0'
    ]


def test_a_method_may_be_taken_from_a_handle_at_any_time(start: Callable[..., Service]) -> None:
    handle = CounterMetric("taken_total", "Taken").bind()
    early = handle.add
    service = start()
    late = handle.add
    early(1)
    late(2)
    assert service.samples() == ["taken_total 3.0"]
    assert late is not early


def test_a_histogram_times_a_block(service: Service) -> None:
    with retrieval_duration_seconds.labels("toys").time():
        pass
    with HistogramMetric("blocks_seconds", "Blocks", unit="s", bounds=(1,)).time():
        pass
    assert [line for line in service.samples() if "_count" in line] == [
        'retrieval_duration_seconds_count{category="toys"} 1.0',
        "blocks_seconds_count 1.0",
    ]


def test_labels_come_out_renamed_however_they_are_given(start: Callable[..., Service]) -> None:
    service = start(Naming(labels={"component": "part"}))
    errors_total.add(1, {"error_type": "a", "component": "x"})
    errors_total.labels(error_type="a", component="x").inc()
    errors_total.labels(error_type="a", part="x").inc()
    errors_total.bind({"error_type": "a", "part": "x"}).add(1)
    assert service.samples() == ['errors_total{error_type="a",part="x"} 4.0']


def test_wrong_labels_are_refused_when_they_are_declared(service: Service) -> None:
    with pytest.raises(DeclarationError) as caught:
        detection_total.labels(camera="1", model_type="y")
    assert str(caught.value) == (
        "'detection_total' got attributes ['camera', 'model_type']; it declares ['camera_id', 'model_type']"
    )
    with pytest.raises(DeclarationError):
        detection_total.labels("1")
    with pytest.raises(DeclarationError):
        detection_total.labels(camera_id="1")
    with pytest.raises(DeclarationError):
        Timer(retrieval_duration_seconds, {"categry": "toys"})
    with pytest.raises(DeclarationError) as caught:
        Timer(errors_total, {"error_type": "timeout"})  # type: ignore[arg-type]
    assert str(caught.value) == "'errors_total' cannot take a duration; give a histogram or a gauge"
    with pytest.raises(DeclarationError):
        track_time(retrieval_duration_seconds, {"categry": "toys"})
    with pytest.raises(DeclarationError):
        llm_calls_total.bind({"provider": "openai", "status": "ok"})


def test_wrong_labels_are_refused_before_there_is_a_provider() -> None:
    with pytest.raises(DeclarationError):
        track_time(retrieval_duration_seconds, {"categry": "toys"})


def test_the_environment_says_which_labels_there_are_before_there_is_a_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_OBS_LABELS", "category=topic")
    track_time(retrieval_duration_seconds, {"topic": "toys"})
    monkeypatch.setenv("OTEL_OBS_LABELS", "broken")
    track_time(retrieval_duration_seconds, {"category": "toys"})


def test_wrong_labels_at_run_time_are_a_counted_drop(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        detection_total.add(1, {"camera": "1"})
        detection_total.add(1, {"camera": "1"})
        llm_calls_total.labels(provider="openai", status="ok").inc()
        detection_total.remove({"camera": "1"})
    assert service.samples() == []
    assert service.provider.dropped == {"attributes": 4}
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "'detection': 'detection_total' got attributes ['camera']",
        "'llm_calls': 'llm_calls_total' got status='ok'",
    ]


def test_a_series_may_be_removed_by_the_values_of_its_labels(service: Service) -> None:
    for session_id in "s1", "s2":
        active_evidence_gauge.labels("toys", session_id).set(3)
    active_evidence_gauge.remove("toys", "s1")
    assert service.samples() == ['active_evidence_gauge{category="toys",session_id="s2"} 3.0']
    active_evidence_gauge.remove("toys")
    active_evidence_gauge.remove("toys", "s2", "more")
    assert service.samples() == ['active_evidence_gauge{category="toys",session_id="s2"} 3.0']
    assert service.provider.dropped == {"attributes": 2}


def test_a_removed_series_is_gone_and_starts_at_0_again(service: Service) -> None:
    handle = detection_total.labels(**CAMERA)
    handle.inc(5)
    detection_total.remove(CAMERA)
    assert service.samples() == []
    handle.inc()
    detection_total.labels(**CAMERA).inc()
    assert service.samples() == ['detection_total{camera_id="1",model_type="yolov8n"} 2.0']


def test_attributes_of_an_applications_own_can_be_declared(start: Callable[..., Service]) -> None:
    visits = CounterMetric("visits_total", "Visits", attributes={"page": ANY})
    service = start()
    visits.add(1, {"page": "a"})
    visits.extend("tenant")
    visits.add(1, {"page": "a", "tenant": "t1"})
    visits.labels("a", "t2").inc()
    # Who counted by hand before need not know of it.
    visits.labels("a").inc()
    visits.labels(page="a").inc()
    with pytest.raises(DeclarationError, match="page"):
        visits.labels(tenant="t1")
    assert service.samples() == [
        'visits_total{page="a"} 3.0',
        'visits_total{page="a",tenant="t1"} 1.0',
        'visits_total{page="a",tenant="t2"} 1.0',
    ]


def test_a_counter_that_semconv_makes_a_histogram_is_used_as_before(start: Callable[..., Service]) -> None:
    service = start(Naming(profile="semconv"))
    llm_tokens_total.add(100, {"provider": "openai", "type": "prompt"})
    tokens = llm_tokens_total.labels(provider="openai", type="prompt")
    tokens.inc(20)
    tokens.inc()
    llm_calls_total.add(1, {"provider": "openai", "status": "success"})
    llm_calls_total.labels("openai", "success").inc()
    assert service.samples() == [
        'gen_ai_client_token_usage_count{gen_ai_provider_name="openai",gen_ai_token_type="input"} 3.0',
        'gen_ai_client_token_usage_sum{gen_ai_provider_name="openai",gen_ai_token_type="input"} 121.0',
    ]


def test_an_observable_asks_its_callbacks(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    queue = ObservableGaugeMetric("queue_size", "Size", attributes={"queue": ANY})
    sizes = {"a": 1.0}

    def look() -> list[tuple[float, dict[str, str]]]:
        return [(size, {"queue": name}) for name, size in sizes.items()]

    def fail() -> list[tuple[float, dict[str, str]]]:
        raise OSError("no")

    queue.observe(fail)
    queue.observe(look)
    queue.refresh()
    assert service.samples("queue_size") == ['queue_size{queue="a"} 1.0']
    sizes["b"] = 2.0
    del sizes["a"]
    queue.refresh()
    assert service.samples("queue_size") == ['queue_size{queue="b"} 2.0']
    assert service.provider.dropped == {"callback": 2}
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "'queue_size': a callback raised OSError('no')"
    ]
    queue.unobserve(fail)
    queue.unobserve(look)
    queue.refresh()
    assert service.samples("queue_size") == []


def test_an_observable_follows_to_the_next_provider(start: Callable[..., Service]) -> None:
    queue = ObservableGaugeMetric("queue_length", "Length")

    def look() -> list[tuple[float, dict[str, str]]]:
        return [(3, {})]

    queue.observe(look)
    service = start()
    service.provider.refresh_observables()
    assert service.samples("queue_length") == ["queue_length 3.0"]
    queue.unobserve(look)


def test_a_provider_that_is_shut_down_gets_nothing() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    provider.shutdown()
    install(provider, Naming())
    try:
        detection_total.add(1, CAMERA)
        detection_total.labels(**CAMERA).inc()
        detection_total.remove(CAMERA)
        detection_total.drop("reason", "detail")
    finally:
        uninstall()


def test_names_that_collide_are_refused_and_leave_the_old_ones(start: Callable[..., Service]) -> None:
    service = start()
    with pytest.raises(SettingError):
        install(service.provider, Naming(labels={"camera_id": "model_type"}))
    detection_total.add(1, CAMERA)
    assert service.samples() == ['detection_total{camera_id="1",model_type="yolov8n"} 1.0']
