"""What several tests of requests need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability as Stability

import otel_obs.fastapi as measured_fastapi
import otel_obs.flask as measured_flask


@pytest.fixture
def stable_conventions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """OpenTelemetry's instrumentations use the stable conventions, and ours end with the test."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(Stability, "_initialized", False)
    yield
    Stability._initialized = False
    measured_flask.uninstall()
    measured_fastapi.uninstall()
