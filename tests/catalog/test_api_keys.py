from __future__ import annotations

import pytest

from otel_obs.catalog import api_key_success_rate, api_key_successes_total, api_keys, record_api_key
from otel_obs.catalog.kit.redaction import looks_secret
from otel_obs.errors import DeclarationError
from tests.catalog.conftest import Service


@pytest.fixture(autouse=True)
def _no_keys_yet() -> None:
    api_keys._counts.clear()


def test_the_rate_comes_from_the_outcomes(service: Service) -> None:
    key = api_keys.api_key("gemini-1")
    for _ in range(3):
        key.success()
    key.failure()
    record_api_key("2", False)
    assert sorted(service.samples()) == [
        'api_key_failures_total{key_id="2"} 1.0',
        'api_key_failures_total{key_id="gemini-1"} 1.0',
        'api_key_success_rate{key_id="2"} 0.0',
        'api_key_success_rate{key_id="gemini-1"} 0.75',
        'api_key_successes_total{key_id="gemini-1"} 3.0',
    ]


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-1234567890abcdef",
        "AIzaSyA-1234567890",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abc",
        "eyJhbGciOiJIUzI1NiJ9",
        "0123456789abcdef0123456789abcdef",
        "Zx8-kQ2_9vLmN4pR7sT1uW3yB5",
    ],
)
def test_what_looks_like_a_key_is_never_shown(
    service: Service, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    with pytest.raises(DeclarationError) as caught:
        api_keys.api_key(key)
    assert str(caught.value) == "'key_id' looks like a key; give an id of the key, such as a number"
    record_api_key(key, True)
    assert service.samples() == []
    assert service.provider.dropped == {"secret": 1}
    assert key not in caplog.text


def test_what_looks_like_a_key_is_refused_by_the_metrics_too(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    labels = {"key_id": "sk-proj-1234567890abcdef"}
    with pytest.raises(DeclarationError) as caught:
        api_key_successes_total.bind(labels)
    assert str(caught.value) == "'key_id' looks like a key; give an id of the key, such as a number"
    api_key_successes_total.add(1, labels)
    api_key_successes_total.labels(**labels).inc()
    api_key_success_rate.set(1, labels)
    assert service.samples() == []
    assert service.provider.dropped == {"attributes": 3}
    assert "sk-proj" not in caplog.text


@pytest.mark.parametrize(
    "key_id",
    [
        "1",
        "gemini-primary",
        "key_3f2a",
        "6f1c0c52-6a5b-4d6c-9f53-0a5f0d5a2b11",
        "backup key number 2",
        "openai-production-europe-west-1",
        "team2/anthropic.primary_2026",
        "****************************3f9a",
        "sk-****************3f9a",
        "sk-...3f9a",
    ],
)
def test_an_id_of_a_key_is_none(key_id: str) -> None:
    assert not looks_secret(key_id)


def test_what_is_left_of_a_masked_key_may_be_too_much() -> None:
    assert looks_secret("sk-proj-1234567890abcdef****")
    assert looks_secret("****8a7b6c5d4e3f2a1b0c9d8e7f****")
