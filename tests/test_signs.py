"""A service says that it lives, where its metrics are, and what of its settings and its code is in vain."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import Service, clean_env, tool
from tests.support.programs import ROOT, run
from tests.support.waiting import until

WRAPPER = tool("opentelemetry-instrument")
LOGGING = "import logging; logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
FLASK = LOGGING + "from flask import Flask\napp = Flask('shop')\n"


def lines(log: Path, beginning: str) -> list[str]:
    return [line for line in log.read_text().splitlines() if line.startswith(beginning)]


def gunicorn(tmp_path: Path, code: str, wrapper: tuple[str, ...] = (WRAPPER,), **env: str) -> Service:
    (tmp_path / "shop.py").write_text(code)
    command = (*wrapper, tool("gunicorn"), "-b", "127.0.0.1:{port}", "-w", "3", "shop:app")
    given = {"PYTHONPATH": str(ROOT), **env}
    return Service(*command, cwd=tmp_path, env=given, log_file=tmp_path / "log")


def test_one_line_says_where_metrics_are_served_and_of_how_many_workers(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with gunicorn(tmp_path, FLASK) as service:
        said = until(lambda: lines(log, "metrics are served"), "the line")
        assert said == [f"metrics are served at http://127.0.0.1:{service.port}/metrics; of 3 workers so far"]
        for _ in range(10):
            assert service.get("/metrics").status == 200
        assert len(lines(log, "metrics are served")) == 1


SERVED = r"metrics are served at (http://127\.0\.0\.1:{port}/metrics|{other}); of \d workers? so far"
UNKNOWN = "/metrics on the application's port"
"""What is said of the address where the server does not listen yet, as one that is still starting workers."""
SERVERS = {
    "gunicorn": ("gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "shop:app"),
    "uvicorn": ("uvicorn", "--workers", "2", "--port", "{port}", "shop:api"),
    "uvicorn-1": ("uvicorn", "--port", "{port}", "shop:api"),
    "hypercorn": ("hypercorn", "-w", "2", "-b", "127.0.0.1:{port}", "shop:api"),
    "granian": ("granian", "--interface", "asgi", "--workers", "2", "--port", "{port}", "shop:api"),
    "flask": ("flask", "--app", "shop", "run", "--port", "{port}"),
}
"""Servers with the lines that they show of themselves by default."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("server", "where"),
    [*((server, "application") for server in SERVERS), ("gunicorn", "port"), ("uvicorn", "port")],
)
def test_a_plain_server_shows_the_line_among_its_own(server: str, where: str, tmp_path: Path) -> None:
    code = "from flask import Flask\nfrom fastapi import FastAPI\napp, api = Flask('shop'), FastAPI()\n"
    (tmp_path / "shop.py").write_text(code)
    program, *arguments = SERVERS[server]
    log = tmp_path / "log"
    own = free_port()
    port = {"OTEL_EXPORTER_PROMETHEUS_PORT": str(own), "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1"}
    env = {"PYTHONPATH": str(ROOT), **(port if where == "port" else {})}
    command = (WRAPPER, tool(program), *arguments)
    with Service(*command, cwd=tmp_path, env=env, log_file=log) as service:
        served_at, other = (own, "-") if where == "port" else (service.port, UNKNOWN)
        expected = re.compile(SERVED.format(port=served_at, other=other))
        until(lambda: expected.search(log.read_text()), "the line", 150)
        if where == "application":
            for _ in range(6):
                assert service.get("/metrics").status == 200
    assert log.read_text().count("metrics are served") == 1


COMMANDS = ("--preload", "--control-socket", "commands.sock")
"""gunicorn's socket for commands; who is forked later, or is its master, has it too."""
BESIDE = "import socket\nfor_debugging = socket.create_server(('127.0.0.1', 0))\n"
"""A second port, which is none of the application's."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("gunicorn", "-b", "127.0.0.1:{port}", *COMMANDS, "shop:app"), "http://127.0.0.1:{port}/metrics"),
        (("gunicorn", "-b", "unix:shop.sock", *COMMANDS, "shop:app"), "unix:shop.sock, path /metrics"),
        (("gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "shop:app"), "http://127.0.0.1:{port}/metrics"),
        (("uvicorn", "--workers", "2", "--port", "{port}", "shop:api"), "http://127.0.0.1:{port}/metrics"),
        (("uvicorn", "--port", "{port}", "shop:api"), "http://127.0.0.1:{port}/metrics"),
    ],
    ids=["preload", "unix", "gunicorn", "uvicorn", "uvicorn-1"],
)
def test_sockets_that_are_not_the_applications_are_not_named(
    command: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    code = "from flask import Flask\nfrom fastapi import FastAPI\napp, api = Flask('shop'), FastAPI()\n"
    beside = BESIDE if "--preload" not in command else ""
    (tmp_path / "shop.py").write_text(LOGGING + beside + code)
    program, *arguments = command
    port, log = free_port(), tmp_path / "log"
    given = [each.format(port=port) for each in arguments]
    env = clean_env({"PYTHONPATH": str(ROOT)})
    with log.open("wb") as file:
        process = subprocess.Popen(
            [WRAPPER, tool(program), *given], cwd=tmp_path, env=env, stdout=file, stderr=file
        )
    try:
        (line,) = until(lambda: lines(log, "metrics are served"), "the line", 120)
        where = expected.format(port=port)
        assert line.startswith((f"metrics are served at {where}; of ", f"metrics are served at {UNKNOWN}; "))
    finally:
        process.terminate()
        process.wait(60)


def test_a_level_of_ours_that_is_too_high_asks_for_silence(tmp_path: Path) -> None:
    code = "import logging, time\nlogging.getLogger('otel_obs').setLevel('WARNING')\n"
    code += "from flask import Flask\napp = Flask('shop')\n"
    with gunicorn(tmp_path, code) as service:
        # Longer than the line of a service that is not silent takes, which the tests above wait for.
        for _ in range(30):
            assert service.get("/metrics").status == 200
            time.sleep(0.1)
    assert lines(tmp_path / "log", "metrics are served") == []
    assert "metrics are served" not in (tmp_path / "log").read_text()


def test_an_address_of_its_own_is_said() -> None:
    port = free_port()
    env = {"OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    code = LOGGING + "import otel_obs\notel_obs.configure()\nimport sys\nsys.stdin.read()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=clean_env(env),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith(f"metrics are served at http://127.0.0.1:{port}/metrics; of "), line
    finally:
        process.communicate("")
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("env", "beginning", "whole"),
    [
        (
            {"OTEL_METRICS_EXPORTER": "prometheus,consol"},
            "OTEL_METRICS_EXPORTER",
            (
                "OTEL_METRICS_EXPORTER='consol' names an exporter that is not installed; did you "
                "mean console?; "
                "metrics are not pushed there, all else goes on"
            ),
        ),
        (
            {"OTEL_OBS_NAMES": "http_request_total=a_total"},
            "OTEL_OBS_NAMES",
            (
                "OTEL_OBS_NAMES names 'http_request_total', but no ready metric has such a "
                "family (did you mean "
                "http_requests_total?): it has no effect, nor on metrics of your own, which views change"
            ),
        ),
        (
            {"OTEL_OBS_LABELS": "statuscode=code"},
            "OTEL_OBS_LABELS",
            (
                "OTEL_OBS_LABELS names 'statuscode', but no ready metric has such a label (did you mean "
                "status_code?): it has no effect, nor on metrics of your own, which views change"
            ),
        ),
    ],
    ids=["exporter", "name", "label"],
)
def test_what_has_no_effect_is_said_once_for_all_workers(
    env: dict[str, str], beginning: str, whole: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    code = FLASK + "import otel_obs\notel_obs.instrument(app)\n"
    with gunicorn(tmp_path, code, wrapper=(), **env) as service:
        for _ in range(12):
            assert service.get("/metrics").status == 200
        assert until(lambda: lines(log, beginning), "the line") == [whole]


def test_a_dropped_result_is_said_once_for_all_workers(tmp_path: Path) -> None:
    code = LOGGING + (
        "import otel_obs\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'ok']\n"
        "otel_obs.instrument(app)\n"
    )
    log = tmp_path / "log"
    with gunicorn(tmp_path, code, wrapper=()) as service:
        for _ in range(6):
            assert service.get("/").status == 200
        assert until(lambda: lines(log, "what instrument() returned"), "the line") == [
            (
                "what instrument() returned for app was thrown away, so its requests are not "
                "measured; use what it "
                "returns: app = otel_obs.instrument(app)"
            )
        ]


UNMEASURED = (
    "Tornado is imported, and otel_obs does not measure it: where it serves requests, they are "
    "not counted, and it "
    "answers no /metrics; OTEL_EXPORTER_PROMETHEUS_PORT serves a page beside it, for what you count yourself"
)


def wrapped(code: str) -> subprocess.CompletedProcess[str]:
    command = [WRAPPER, sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=240, check=True
    )


def test_a_framework_that_is_not_measured_is_said() -> None:
    assert wrapped("import tornado.web").stderr.splitlines() == [UNMEASURED]
    assert wrapped("import tornado").stderr == ""  # a loop
    # Beside a framework that is measured it may be a library's: a word for who wants to know.
    assert wrapped("import flask, tornado.web").stderr == ""
    assert UNMEASURED in wrapped(LOGGING + "import flask, tornado.web").stderr


@pytest.mark.parametrize("way", [("-m", "otel_obs.run"), ("-m", "opentelemetry-instrument", "--")], ids=str)
@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("gunicorn", "'gunicorn' is not installed here; install it with: pip install gunicorn"),
        ("uvicorn", "'uvicorn' is not installed here; install it with: pip install 'uvicorn[standard]'"),
        ("no-such-server", "'no-such-server' is no command that can be executed; check PATH"),
    ],
)
def test_a_server_that_is_not_installed_is_named(way: tuple[str, ...], command: str, line: str) -> None:
    front = [sys.executable, *way] if way[1] == "otel_obs.run" else [sys.executable, WRAPPER, "--"]
    env = {**clean_env(), "PATH": "/nowhere"}
    done = subprocess.run([*front, command, "app:app"], cwd=ROOT, env=env, capture_output=True, text=True)
    name = "otel_obs.run" if way[1] == "otel_obs.run" else "opentelemetry-instrument"
    assert (done.returncode, done.stderr) == (127, f"{name}: {line}\n")


def test_a_program_of_one_process_says_its_line_too() -> None:
    done = run(
        LOGGING
        + """
import time, otel_obs
from otel_obs.catalog import predictions_total
otel_obs.configure()
predictions_total.add(1, {"status": "success"})
time.sleep(2.5)
""",
        timeout_s=240,
    )
    assert "metrics are served at /metrics on the application's port; of 1 worker so far" in done.log
