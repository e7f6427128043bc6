"""What doctor says of commands and of processes, and that it runs nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from otel_obs.diagnosis.examine import examine, examine_process
from otel_obs.diagnosis.report import Diagnosis, Fact
from otel_obs.errors import UnreadableError
from tests.support.ports import free_port
from tests.support.processes import Service, clean_env, tool
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
BIN = str(Path(sys.executable).parent)
PATH = {"PATH": f"{BIN}:/usr/bin:/bin"}
FLASK = "from flask import Flask\nopen('ran', 'w')\napp = Flask(__name__)\n"


def doctor(
    text: str, directory: Path, command: str = "gunicorn -b :{port} app:app", **environ: str
) -> Diagnosis:
    (directory / "app.py").write_text(text)
    words = command.replace("{port}", str(free_port())).split()
    found = examine(words, {**PATH, **environ}, directory)
    assert not (directory / "ran").exists()
    return found


def facts(found: Diagnosis, section: str) -> dict[str, Fact]:
    return {fact.name: fact for fact in found.sections.get(section, ())}


def test_a_command_that_is_right_has_nothing_to_change(tmp_path: Path) -> None:
    found = doctor(FLASK, tmp_path, "gunicorn -w 2 -b :{port} app:app", OTEL_OBS_PROFILE="semconv")

    assert found.problems == []
    assert facts(found, "command")["workers"].value == "2"
    assert facts(found, "measured")["flask"].source == "app.py:1"
    assert facts(found, "settings")["OTEL_OBS_PROFILE"] == Fact("OTEL_OBS_PROFILE", "semconv", "environment")
    assert facts(found, "settings")["OTEL_OBS_HTTP"].source == "default"
    assert facts(found, "instrumentors")["distribution"].value.startswith("otel_obs of ")
    assert facts(found, "instrumentors")["flask"].value == "replaced"
    assert "/dev/shm" in facts(found, "run directory")


def test_what_serves_no_http_needs_a_port_for_its_metrics(tmp_path: Path) -> None:
    command, text = "celery -A app worker", "import celery\napp = celery.Celery()\n"

    (problem,) = [each for each in doctor(text, tmp_path, command).problems if each.subject == "metrics"]
    mended = doctor(text, tmp_path, command, OTEL_EXPORTER_PROMETHEUS_PORT=str(free_port()))

    assert problem.remedy == "set OTEL_EXPORTER_PROMETHEUS_PORT=9464, or OTEL_METRICS_EXPORTER=otlp"
    assert "metrics" not in [each.subject for each in mended.problems]
    assert facts(mended, "ports").keys() == {"metrics"}


def test_uwsgi_without_threads_is_told(tmp_path: Path) -> None:
    without = doctor(FLASK, tmp_path, "uwsgi --http :{port} -p 2 --module app:app")
    with_threads = doctor(FLASK, tmp_path, "uwsgi --http :{port} -p 2 --enable-threads --module app:app")

    assert "--enable-threads" in facts(without, "command")["note"].value
    assert "note" not in facts(with_threads, "command")


@pytest.mark.parametrize(
    ("environ", "subject"),
    [
        ({"OTEL_OBS_PROFILE": "klassik"}, "OTEL_OBS_PROFILE"),
        ({"OTEL_OBS_PROFIL": "classic"}, "settings"),
        ({"OTEL_OBS_ENABLED": "false"}, "OTEL_OBS_ENABLED"),
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
        ({"OTEL_PYTHON_DISTRO": "aws_distro"}, "OTEL_PYTHON_DISTRO"),
        ({"OTEL_PYTHON_CONFIGURATOR": "aws_configurator"}, "OTEL_PYTHON_CONFIGURATOR"),
        ({"OTEL_METRICS_EXPORTER": "prometheus,carbon"}, "OTEL_METRICS_EXPORTER=carbon"),
        ({"OTEL_OBS_RUN_DIR": "/nowhere"}, "OTEL_OBS_RUN_DIR"),
        ({"OTEL_OBS_METRICS_TOKEN_FILE": "/nowhere"}, "OTEL_OBS_METRICS_TOKEN_FILE"),
        ({"OTEL_OBS_METRICS_TLS_KEY": "/k.pem"}, "OTEL_OBS_METRICS_TLS_CERTIFICATE"),
    ],
)
def test_a_setting_that_does_not_work_is_a_problem(
    environ: dict[str, str], subject: str, tmp_path: Path
) -> None:
    assert [problem.subject for problem in doctor(FLASK, tmp_path, **environ).problems] == [subject]


@pytest.mark.parametrize(
    ("text", "command", "subject"),
    [
        (FLASK, "nothing-of-that-name app:app", "nothing-of-that-name"),
        (FLASK, "python -I app.py", "-I"),
        ("from aiohttp import web\n", "python app.py", "aiohttp's server"),
        ("import sanic\n", "sanic app:app", "Sanic"),
        (
            FLASK + "from prometheus_flask_exporter import PrometheusMetrics\n",
            "",
            "prometheus_flask_exporter",
        ),
        (FLASK + "import prometheus_fastapi_instrumentator as p\n", "", "prometheus_fastapi_instrumentator"),
        (
            "def make():\n    from opentelemetry.sdk.metrics import MeterProvider\n",
            "",
            "opentelemetry.sdk.metrics",
        ),
    ],
)
def test_what_will_not_work_is_a_problem(text: str, command: str, subject: str, tmp_path: Path) -> None:
    found = doctor(text, tmp_path, command or "gunicorn -b :{port} app:app")

    assert subject in [problem.subject for problem in found.problems]
    assert all(problem.what and problem.remedy for problem in found.problems)


def test_files_that_the_application_imports_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "__init__.py").touch()
    (tmp_path / "web" / "views.py").write_text("from . import more\n")
    (tmp_path / "web" / "more.py").write_text("import starlette_exporter\n")

    found = doctor("from web.views import x\n", tmp_path)

    assert "is imported at web/more.py:1" in found.problems[0].what


def test_what_the_code_sets_wins_and_is_told_with_its_line(tmp_path: Path) -> None:
    text = FLASK + "import otel_obs\notel_obs.instrument(app, metrics_path='/m')\n"

    setting = facts(doctor(text, tmp_path, OTEL_OBS_METRICS_PATH="/x"), "settings")["OTEL_OBS_METRICS_PATH"]

    assert setting == Fact("OTEL_OBS_METRICS_PATH", "'/m'", "app.py:5, in the code")


def test_a_token_is_not_shown(tmp_path: Path) -> None:
    found = doctor(FLASK, tmp_path, OTEL_OBS_METRICS_TOKEN="very-secret-token")

    assert "very-secret" not in repr(found)


def test_a_metrics_port_that_is_the_applications_is_a_problem(tmp_path: Path) -> None:
    found = doctor(FLASK, tmp_path, "gunicorn -b :7001 app:app", OTEL_EXPORTER_PROMETHEUS_PORT="7001")

    assert [problem.subject for problem in found.problems] == ["OTEL_EXPORTER_PROMETHEUS_PORT"]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = doctor(FLASK, tmp_path, f"gunicorn -b :{port} app:app")

    assert facts(found, "ports")["application"].value == f"{port}, taken now"


def test_the_python_of_another_environment_is_named(tmp_path: Path) -> None:
    script = tmp_path / "gunicorn"
    script.write_text("#!/usr/bin/python3\n")
    script.chmod(0o755)

    (problem,) = doctor(FLASK, tmp_path, f"{script} -b :{{port}} app:app").problems

    assert problem.remedy == "run doctor there: /usr/bin/python3 -m otel_obs doctor"


def test_a_running_service_of_two_workers_is_explained(tmp_path: Path) -> None:
    command = [tool("gunicorn"), "-w", "2", "-b", "127.0.0.1:{port}", "tests.apps.plain_flask:app"]
    wrapped = [tool("opentelemetry-instrument"), *command]
    with Service(*wrapped, cwd=ROOT, log_file=tmp_path / "log") as service:
        workers = service.wait_for_workers(2)
        until(lambda: examine_process(service.pid).problems == [], "both workers to be members")
        for pid in (service.pid, workers[0]):
            found = examine_process(pid)
            assert found.problems == []
            assert any(
                fact.value.startswith(f"process {pid} belongs to") for fact in found.sections["process"]
            )
        assert facts(found, "command")["wrapper"].value == "opentelemetry-instrument"
        assert facts(found, "command")["workers"].value in ("2", "not known")
        assert facts(found, "measured")["flask"].source.startswith("tests/apps/plain_flask.py:")
        assert (
            facts(examine_process(service.pid), "ports")["application"].value == f"{service.port}, taken now"
        )


SERVERS = {
    "uvicorn": ("--workers", "2", "--port", "{port}"),
    "hypercorn": ("-w", "2", "-b", "127.0.0.1:{port}"),
    "granian": ("--interface", "asgi", "--workers", "2", "--port", "{port}"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_a_running_service_of_another_server_is_explained(server: str, tmp_path: Path) -> None:
    command = [tool(server), *SERVERS[server], "tests.apps.plain_fastapi:app"]
    wrapped = [tool("opentelemetry-instrument"), *command]
    with Service(*wrapped, cwd=ROOT, log_file=tmp_path / "log", ready_path="/metrics") as service:
        until(lambda: examine_process(service.pid).problems == [], "both workers to be members")
        found = examine_process(service.pid)
        assert facts(found, "command")["program"].value == server
        assert facts(found, "command")["wrapper"].value == "opentelemetry-instrument"
        assert facts(found, "command")["workers"].value in ("2", "not known")
        assert facts(found, "measured")["fastapi"].source.startswith("tests/apps/plain_fastapi.py:")
        assert facts(found, "ports")["application"].value == f"{service.port}, taken now"


def test_a_title_that_hides_the_command_is_no_missing_program() -> None:
    title = "the shop, at noon"
    with subprocess.Popen(
        [title], executable=sys.executable, stdin=subprocess.PIPE, env=clean_env()
    ) as process:
        titled = Path(f"/proc/{process.pid}/cmdline")
        until(lambda: titled.read_bytes().startswith(title.encode()), "the title")
        found = examine_process(process.pid)
        process.communicate(b"")

    assert facts(found, "command")["title"].value == title
    assert ["has not joined a service" in problem.what for problem in found.problems] == [True]


def test_a_process_that_measures_nothing_is_told_so(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=clean_env()) as process:
        until(lambda: bool(Path(f"/proc/{process.pid}/cmdline").read_bytes()), "the process to be there")
        (problem,) = examine_process(process.pid).problems
        process.communicate(b"\n")

    assert "has not joined a service" in problem.what


def test_a_process_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnreadableError, match="is not there"):
        examine_process(os.getpid() + 2**22)
