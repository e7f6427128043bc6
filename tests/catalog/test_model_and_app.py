from __future__ import annotations

import platform

import pytest

from otel_obs.catalog import record_prediction, set_app_info, set_model_state
from tests.catalog.conftest import Service


def test_an_application_says_what_it_is(service: Service) -> None:
    set_app_info("1.2.0", "production", "3.11.2")
    assert service.family("app_info") == [
        "# HELP app_info Application information",
        "# TYPE app_info gauge",
        'app_info{environment="production",python_version="3.11.2",version="1.2.0"} 1.0',
    ]


def test_a_new_version_replaces_the_old_one(service: Service) -> None:
    set_app_info("1.0", "test", "3.11")
    set_app_info(version="2.0", environment="test")
    version = platform.python_version()
    assert service.samples() == [
        f'app_info{{environment="test",python_version="{version}",version="2.0"}} 1.0'
    ]


@pytest.mark.parametrize(
    ("success", "cache_hit", "status"),
    [
        (True, False, "success"),
        (True, True, "cache_hit"),
        (False, False, "error"),
        (False, True, "error"),
    ],
)
def test_a_prediction_has_a_status(service: Service, success: bool, cache_hit: bool, status: str) -> None:
    record_prediction(success=success, cache_hit=cache_hit)
    assert service.samples() == [f'predictions_total{{status="{status}"}} 1.0']


def test_a_prediction_has_its_times(service: Service) -> None:
    record_prediction(True, False, 0.25, 0.5)
    record_prediction(True, True, None, 0.5)
    assert service.samples("inference") == [
        "inference_duration_seconds_count 1.0",
        "inference_duration_seconds_sum 0.25",
    ]
    assert service.samples("preprocessing") == [
        "preprocessing_duration_seconds_count 2.0",
        "preprocessing_duration_seconds_sum 1.0",
    ]


def test_a_model_has_a_state(service: Service) -> None:
    set_model_state("not_loaded")
    assert service.samples() == ["model_state 0.0"]
    set_model_state("loaded", load_time=1.5)
    assert service.samples() == ["model_state 1.0", "model_load_duration_seconds 1.5"]
    set_model_state("error")
    assert service.samples("model_state") == ["model_state 2.0"]


def test_what_cannot_be_recorded_never_raises(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    set_model_state("broken")
    set_model_state(["loaded"])  # type: ignore[arg-type]
    record_prediction(True, False, "fast", None)  # type: ignore[arg-type]
    assert service.samples() == ['predictions_total{status="success"} 1.0']
    assert service.provider.dropped == {"state": 1, "error": 1, "not_a_number": 1}
    assert caplog.records[0].getMessage() == (
        "'model_state': set_model_state() got 'broken'; expected one of ['not_loaded', 'loaded', 'error']; "
        "the measurement is dropped, and further ones silently"
    )
