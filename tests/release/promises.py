"""Whether an installed otel-obs has what its extras promise. Imports the standard library alone.

Usage: PYTHON promises.py EXTRA…     where PYTHON's environment has otel-obs with these extras; "" is none
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
PAGE = "# TYPE http_requests_total counter\nhttp_requests_total 3.0\n"
FASTEST = """
import json, os, urllib.request
import otel_obs
otel_obs.configure()
from flask import Flask
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
app = Flask("shop")
app.add_url_rule("/items", "items", lambda: "ok")
FlaskInstrumentor().instrument_app(app)
app.test_client().get("/items")
FastAPIInstrumentor.instrument_app(FastAPI())
page = otel_obs.get_metrics()[0].decode()
assert "http_server_duration" in page or "http_server_request_duration" in page, page
assert "http_requests_total{" not in page, page
"""


def nothing() -> None:
    """The library by itself, and the code for prometheus_client."""
    python(
        "import otel_obs.prometheus as p\np.Counter('a', 'b').inc()\n"
        "assert b'a_total 1' in p.generate_latest()"
    )
    python("import otel_obs; otel_obs.configure(); assert b'otel_obs_workers' in otel_obs.get_metrics()[0]")
    python("import otel_obs.cli; assert otel_obs.cli.main([]) in (0, 2)")
    done = subprocess.run(
        [PROGRAMS / "opentelemetry-instrument", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def flask() -> None:
    """Flask, measured."""
    python(
        "import otel_obs\nfrom flask import Flask\napp = otel_obs.instrument(Flask('shop'))\n"
        "app.test_client().get('/')\nassert b'__unmatched__' in otel_obs.get_metrics()[0]"
    )


def fastapi() -> None:
    """FastAPI, measured by its routes; asked without a client, which would be another package."""
    python(
        "import asyncio, otel_obs\nfrom fastapi import FastAPI\napp = FastAPI()\n"
        "app.get('/items/{n}')(lambda n: n)\notel_obs.instrument(app)\n"
        "scope = dict(type='http', method='GET', path='/items/1', raw_path=b'/items/1', query_string=b'',\n"
        "             headers=[], scheme='http', server=('a', 1), client=('b', 2), root_path='',\n"
        "             http_version='1.1',\n"
        "             asgi={'version': '3.0'})\n"
        "async def receive(): return {'type': 'http.request', 'body': b'', 'more_body': False}\n"
        "async def send(message): pass\n"
        "asyncio.run(app(scope, receive, send))\n"
        "assert b'/items/{n}' in otel_obs.get_metrics()[0]"
    )


def otlp() -> None:
    """Both exporters of OTLP are found by their names; nobody answers there."""
    for protocol in "grpc", "http/protobuf":
        said = python(
            "import otel_obs\nfrom otel_obs.catalog import predictions_total\notel_obs.configure()\n"
            "predictions_total.add(1, {'status': 'success'})",
            OTEL_METRICS_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
            OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        )
        assert "not installed" not in said, said


def config() -> None:
    """A file of declarative configuration is read."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "otel.yaml")
        file.write_text(
            'file_format: "1.0"\nresource: {attributes: [{name: service.name, value: bookshop}]}\n'
        )
        python(
            "import otel_obs; otel_obs.configure(); assert b'bookshop' in otel_obs.get_metrics()[0]",
            OTEL_CONFIG_FILE=str(file),
        )


def tracing() -> None:
    """Traces of requests, and `OTEL_OBS_HTTP=upstream`, in a service that has its frameworks."""
    otlp()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "flask",
        "fastapi",
    ]
    constraints = os.environ.get("CONSTRAINTS")
    subprocess.run([*pip, *(("--constraint", constraints) if constraints else ())], check=True)
    python(FASTEST, OTEL_OBS_HTTP="upstream")
    said = python(
        "import otel_obs\nfrom flask import Flask\napp = Flask('shop')\n"
        "otel_obs.instrument(app)\napp.test_client().get('/')",
        OTEL_TRACES_EXPORTER="console",
    )
    assert "trace_id" in said, said


def cli() -> None:
    """The command reads a page."""
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory, "page.prom")
        page.write_text(PAGE)
        command("check", str(page), ends=(0, 1))
        command("generate", "alerts", "--groups", "http", "--out", directory)
        assert list(Path(directory).rglob("*.yml")), "no rules were written"


def dashboards() -> None:
    """The command writes dashboards, from Python 3.11 on."""
    if tuple(sys.version_info) < (3, 11):
        return
    with tempfile.TemporaryDirectory() as directory:
        command("generate", "grafana", "--groups", "http", "--out", directory)
        assert list(Path(directory).rglob("*overview*.json")), "no dashboard was written"


def demo() -> None:
    """The shop of the demonstration serves and ends."""
    command("demo", "--no-open", "--seconds", "3")


def all_of_them() -> None:
    """What `all` holds."""
    for promise in (flask, fastapi, otlp, config, tracing, cli, dashboards):
        promise()


PROMISES: Mapping[str, Callable[[], None]] = {
    "": nothing,
    "flask": flask,
    "fastapi": fastapi,
    "otlp": otlp,
    "config": config,
    "tracing": tracing,
    "cli": cli,
    "demo": demo,
    "dashboards": dashboards,
    "all": all_of_them,
}


def python(code: str, **env: str) -> str:
    """What a program says, which has to end well and without an error of the library."""
    names = {k: v for k, v in os.environ.items() if not re.match("OTEL_|PROMETHEUS_|PYTHONPATH", k)}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**names, **env}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    assert "runs without metrics" not in done.stderr, done.stderr
    return done.stdout + done.stderr


def command(*arguments: str, ends: tuple[int, ...] = (0,)) -> None:
    """Run `otel-obs`."""
    done = subprocess.run([PROGRAMS / "otel-obs", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode in ends, f"otel-obs {' '.join(arguments)}\n{done.stdout}{done.stderr}"


def main(extras: list[str]) -> int:
    """Try each; the exit code."""
    for extra in extras:
        PROMISES[extra]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
