"""What a command line runs, however it is started, and how the server in it starts workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from otel_obs.diagnosis.launch import interpreter_of, take_apart
from otel_obs.diagnosis.worker_starts import server_of
from otel_obs.errors import UnreadableError


@pytest.mark.parametrize(
    ("command", "program", "arguments", "wrapper"),
    [
        ("gunicorn -w 2 shop:app", "gunicorn", ["-w", "2", "shop:app"], ""),
        ("opentelemetry-instrument gunicorn shop:app", "gunicorn", ["shop:app"], "opentelemetry-instrument"),
        (
            "opentelemetry-instrument --traces_exporter otlp gunicorn a:b",
            "gunicorn",
            ["a:b"],
            "opentelemetry-instrument",
        ),
        ("python -m otel_obs.run -- uvicorn a:b", "uvicorn", ["a:b"], "python -m otel_obs.run"),
        ("env -u X A=1 nice -n 5 gunicorn a:b", "gunicorn", ["a:b"], ""),
        ("timeout -k 5 10 gunicorn a:b", "gunicorn", ["a:b"], ""),
        ("timeout -k 5 -- 10 gunicorn a:b", "gunicorn", ["a:b"], ""),
        ("uv run --with x gunicorn a:b", "gunicorn", ["a:b"], ""),
        ("poetry run uvicorn a:b", "uvicorn", ["a:b"], ""),
        ("tini -- python -X dev -m gunicorn a:b", "gunicorn", ["a:b"], ""),
        ("python -I app.py --port 3", "app.py", ["--port", "3"], ""),
        ("python -c pass", "python", ["-c", "pass"], ""),
    ],
)
def test_the_program_behind_launchers_is_found(
    command: str, program: str, arguments: list[str], wrapper: str
) -> None:
    launch = take_apart(command.split(), {"PATH": ""})

    assert (launch.program, list(launch.arguments), launch.wrapper) == (program, arguments, wrapper)


def test_variables_of_the_command_line_and_of_the_wrapper_are_named() -> None:
    launch = take_apart(
        ["env", "OTEL_OBS_HTTP=off", "opentelemetry-instrument", "--obs_profile=semconv", "gunicorn"], {}
    )

    assert launch.environ == {"OTEL_OBS_HTTP": "off", "OTEL_OBS_PROFILE": "semconv"}
    assert launch.assigned == {
        "OTEL_OBS_HTTP": "the command line",
        "OTEL_OBS_PROFILE": "opentelemetry-instrument --obs_profile",
    }


@pytest.mark.parametrize("command", ["env A=1", "nice -n 3", "uv run"])
def test_a_command_without_a_program_is_refused(command: str) -> None:
    with pytest.raises(UnreadableError, match="runs no program"):
        take_apart(command.split(), {})


def test_the_python_of_a_script_is_that_of_its_first_line(tmp_path: Path) -> None:
    for name, text, expected in (
        ("a", "#!/opt/v/bin/python3.11\n", "/opt/v/bin/python3.11"),
        (
            "b",
            "#!/bin/sh\n'''exec' \"/very/long/bin/python\" \"$0\" \"$@\"\n' '''\n",
            "/very/long/bin/python",
        ),
        ("c", "#!/bin/sh\necho\n", ""),
        ("d", "\x7fELF", ""),
    ):
        (tmp_path / name).write_text(text)
        assert interpreter_of(str(tmp_path / name)) == expected
    assert interpreter_of(str(tmp_path / "none")) == ""
    assert (
        Path(interpreter_of(str(Path(sys.executable).with_name("gunicorn")))).parent
        == Path(sys.executable).parent
    )


@pytest.mark.parametrize(
    ("command", "environ", "target", "workers", "ports"),
    [
        ("gunicorn shop:app", {}, "shop:app", 1, (8000,)),
        ("gunicorn -w4 --bind=0.0.0.0:80 -b [::]:81 shop:make()", {}, "shop:make()", 4, (80, 81)),
        ("gunicorn shop:app", {"WEB_CONCURRENCY": "3", "PORT": "9"}, "shop:app", 3, (9,)),
        ("gunicorn -w 2 shop:app", {"GUNICORN_CMD_ARGS": "-w 5 --bind :7"}, "shop:app", 2, (7,)),
        ("gunicorn -b unix:/run/x shop", {}, "shop", 1, ()),
        ("uvicorn --port 81 --workers 2 --factory shop.web:make", {}, "shop.web:make", 2, (81,)),
        ("hypercorn -w 3 -b :90 shop:app", {}, "shop:app", 3, (90,)),
        ("granian --interface asgi --workers 2 shop:app", {}, "shop:app", 2, (8000,)),
        ("flask --app shop run -p 90", {}, "shop", 1, (90,)),
        ("flask run", {"FLASK_APP": "web.py", "FLASK_RUN_PORT": "91"}, "web.py", 1, (91,)),
        ("fastapi run shop.py --workers 2", {}, "shop.py", 2, (8000,)),
        ("waitress-serve --listen=*:99 shop:app", {}, "shop:app", 1, (99,)),
        ("gunicorn -w $N shop:app", {}, "shop:app", None, (8000,)),
        ("uwsgi --http :90 -p 4 --module shop:app", {}, "shop:app", 4, (90,)),
        ("uwsgi --ini shop.ini", {}, "", None, ()),
        ("hypercorn -c shop.toml shop:app", {}, "shop:app", None, (8000,)),
        ("celery -A tasks worker --concurrency=3", {}, "tasks", 3, ()),
        ("celery -A tasks worker", {}, "tasks", None, ()),
        ("celery --app tasks worker -P solo", {}, "tasks", 1, ()),
    ],
)
def test_what_a_server_is_told(
    command: str,
    environ: dict[str, str],
    target: str,
    workers: int | None,
    ports: tuple[int, ...],
    tmp_path: Path,
) -> None:
    model = server_of(take_apart(command.split(), environ), tmp_path)

    assert model is not None
    assert (model.target, model.workers, model.ports) == (target, workers, ports)


def test_gunicorns_file_is_read_and_not_run(tmp_path: Path) -> None:
    text = "open('ran', 'w')\nworkers = count()\n"
    text += "bind = ['0.0.0.0:71', ':72']\npreload_app = True\nwsgi_app = 'a:b'\n"
    (tmp_path / "gunicorn.conf.py").write_text(text)

    model = server_of(take_apart(["gunicorn"], {}), tmp_path)

    assert model is not None
    assert (model.target, model.workers, model.ports) == ("a:b", None, (71, 72))
    assert "--preload" in model.model
    assert model.notes == (
        "gunicorn.conf.py computes workers: what it will be is not known without running it",
    )
    assert not (tmp_path / "ran").exists()


def test_how_workers_begin_is_said(tmp_path: Path) -> None:
    def model(command: str) -> str:
        found = server_of(take_apart(command.split(), {}), tmp_path)
        return found.model if found is not None else "none"

    assert "forks" in model("gunicorn a:b")
    assert "multiprocessing" in model("uvicorn a:b --workers 2")
    assert model("uvicorn a:b") == "one process, with threads"
    assert "loads the application and then forks" in model("uwsgi -p 2 --module a:b")
    assert "after the fork" in model("uwsgi -p 2 --lazy-apps --module a:b")
    assert "loads the application and then forks" in model("celery -A a worker")
    assert model("celery -A a worker -P threads") == "one process, with threads"
    assert model("python app.py") == "none"
