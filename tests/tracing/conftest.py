"""A receiver of spans, and services that send there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.otlp import OtlpReceiver
from tests.support.processes import Service, tool
from tests.tracing.apps import FASTAPI, FLASK

SERVERS = {
    "flask": (FLASK, ("gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "web:app")),
    "fastapi": (FASTAPI, ("uvicorn", "--workers", "2", "--port", "{port}", "web:app")),
}


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def service(
    directory: Path,
    framework: str,
    receiver: OtlpReceiver,
    env: Mapping[str, str] | None = None,
    in_code: bool = False,
) -> Service:
    """A service with two workers that sends its spans to *receiver*; under the wrapper, or set up in code."""
    source, (server, *arguments) = SERVERS[framework]
    set_up = "\nimport otel_obs\notel_obs.instrument(app)\n" if in_code else ""
    (directory / "web.py").write_text(source + set_up)
    wrapper = () if in_code else (tool("opentelemetry-instrument"),)
    return Service(
        *(*wrapper, tool(server), *arguments),
        cwd=directory,
        env={
            "OTEL_SERVICE_NAME": framework,
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            **receiver.environment("grpc"),
            **(env or {}),
        },
        log_file=directory / "log",
    )


@pytest.fixture(scope="module", params=SERVERS)
def served(
    request: pytest.FixtureRequest, receiver: OtlpReceiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One service for each framework, which passes requests on to another one of the other."""
    other = "fastapi" if request.param == "flask" else "flask"
    with service(tmp_path_factory.mktemp("next"), other, receiver) as following:
        env = {"NEXT_URL": f"{following.url}/items/7"}
        with service(tmp_path_factory.mktemp("first"), request.param, receiver, env) as first:
            yield first
