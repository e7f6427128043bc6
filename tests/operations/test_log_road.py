"""Logs and spans on the road of deploy/compose.yaml: a service, a collector, and a real store of logs."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_obs.ops.collector_config import stores_config
from otel_obs.ops.compose import LOGS_PATH
from otel_obs.ops.yaml_text import yaml_text
from tests.ops.promtools import found
from tests.support.otlp import OtlpReceiver
from tests.support.ports import free_port
from tests.support.processes import Service, tool
from tests.support.waiting import until
from tests.support.web import request
from tests.test_logs import FLASK

STORE, COLLECTOR = found("go-program", "victoria-logs"), found("collector")
needs_store = pytest.mark.skipif(STORE is None or COLLECTOR is None, reason="make operations builds them")


@needs_store
def test_a_log_line_is_found_by_its_trace_in_the_store(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(FLASK)
    options = (f"-storageDataPath={tmp_path / 'data'}", "-httpListenAddr=127.0.0.1:{port}")
    with (
        OtlpReceiver() as traces,
        Service(str(STORE), *options, log_file=tmp_path / "store.log") as store,
    ):
        config = yaml_text(stores_config(f"http://127.0.0.1:{traces.http_port}", store.url + LOGS_PATH))
        http = free_port()
        for port in (4317, 4318, 8888, 13133):
            config = config.replace(f"0.0.0.0:{port}", f"127.0.0.1:{http if port == 4318 else free_port()}")
        config = config.replace("port: 8888", f"port: {free_port()}")
        (tmp_path / "collector.yaml").write_text(config)
        arguments = (f"--config={tmp_path / 'collector.yaml'}",)
        env = {
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{http}",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
        }
        with Service(
            str(COLLECTOR), *arguments, log_file=tmp_path / "collector.log", ready_path=None
        ) as collector:
            until(lambda: "Everything is ready" in collector.log, "the collector", 150)
            with Service(
                tool("opentelemetry-instrument"),
                tool("gunicorn"),
                *("-w", "2", "-b", "127.0.0.1:{port}", "web:app"),
                cwd=tmp_path,
                env=env,
                log_file=tmp_path / "log",
            ) as service:
                for number in range(10):
                    assert service.get(f"/sell/{number}").status == 200

            def stored() -> list[dict[str, str]]:
                query = quote('sold AND service.name:"shop"')
                answer = request(f"{store.url}/select/logsql/query?query={query}")
                return [json.loads(line) for line in answer.text.splitlines()]

            until(lambda: len(stored()) == 10, "ten lines in the store", 150)
            until(
                lambda: len([span for span in traces.spans() if "/sell" in span.name]) == 10, "ten spans", 60
            )
            stored_lines = stored()
    spans = {span.trace_id for span in traces.spans() if "/sell" in span.name}
    assert {line["trace_id"] for line in stored_lines} == spans
