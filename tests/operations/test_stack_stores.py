"""A stack with a collector and a store of logs: what a service writes is found there, and all of it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from otel_obs.ops.stack.processes import stack_state
from otel_obs.ops.stack.programs import MORE_PORTS, PARTS, part_program
from tests.ops.promtools import found
from tests.support.ports import free_port
from tests.support.processes import Service, clean_env, tool
from tests.support.waiting import until
from tests.support.web import request
from tests.test_logs import FLASK

STORE, COLLECTOR = found("go-program", "victoria-logs"), found("collector")
MISSING = [part.name for part in PARTS if part.is_needed and not part_program(part, Path("/nowhere"))]
needs_programs = pytest.mark.skipif(
    STORE is None or COLLECTOR is None or bool(MISSING), reason="make operations builds them"
)


def otel_obs(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command, with the collector and the store on its path."""
    places = [str(Path(str(each)).parent) for each in (STORE, COLLECTOR)]
    env = clean_env({"PATH": os.pathsep.join([*places, os.environ["PATH"]])})
    command = [sys.executable, "-m", "otel_obs", "stack", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=180)


@needs_programs
@pytest.mark.timeout(400)
def test_a_line_of_a_log_is_found_in_the_store_of_the_stack(tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(FLASK)
    names = [*(part.name for part in PARTS), *MORE_PORTS]
    ports = {name: free_port() for name in names}
    options = [option for name, port in ports.items() for option in ("--port", f"{name}={port}")]
    env = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports['collector']}",
        "OTEL_BLRP_SCHEDULE_DELAY": "50",
    }
    server = ("gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "web:app")
    with Service(
        tool("opentelemetry-instrument"),
        tool(server[0]),
        *server[1:],
        cwd=tmp_path,
        env=env,
        log_file=tmp_path / "log",
    ) as service:
        assert service.get("/sell/1").status == 200
        try:
            done = otel_obs("up", "--from", service.url, "--interval", "1s", *options, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (0, "")
            told = (
                f"OTEL_LOGS_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{ports['collector']}"
            )
            assert told in done.stdout
            before = stack_state(tmp_path / "monitoring")
            assert {"logs", "collector", "prometheus"} <= {part.name for part in before if part.is_ready}

            for number in range(10):
                service.get(f"/sell/{number}")

            def stored() -> int:
                query = quote('sold AND service.name:"shop"')
                answer = request(f"http://127.0.0.1:{ports['logs']}/select/logsql/query?query={query}")
                return len([json.loads(line) for line in answer.text.splitlines()])

            until(lambda: stored() >= 10, "ten lines in the store", 150)

            def collector() -> str:
                url = (
                    f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query=up%7Bjob%3D%22collector%22%7D"
                )
                result = request(url).json()["data"]["result"]
                return str(result and result[0]["value"][1])

            until(lambda: collector() == "1", "Prometheus scrapes the collector", 150)
        finally:
            down = otel_obs("down", cwd=tmp_path)
    assert "ended collector" in down.stdout
    # What has ended is there until process 1 has asked for its end.
    until(lambda: not any(part.pid and psutil.pid_exists(part.pid) for part in before), "all are gone")
