"""`python -m otel_obs.run` hands a command over as it is, also what the wrapper would take for its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otel_obs.run import USAGE, main
from tests.support.processes import Service, clean_env, tool
from tests.support.programs import ROOT

TELLING = "import json, sys; print(json.dumps([sys.argv[1:], 'otel_obs' in sys.modules]))"


def run_front(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "otel_obs.run", *arguments]
    return subprocess.run(command, cwd=ROOT, env=clean_env(), capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--config", "file"),
        ("--config=file", "-w", "4"),
        ("--", "-x"),
        ("--help",),
        ("--version",),
        ("--log", "a b"),
    ],
    ids=" ".join,
)
def test_arguments_are_the_commands_own(arguments: tuple[str, ...]) -> None:
    for before in ((), ("--",)):
        done = run_front(*before, sys.executable, "-c", TELLING, *arguments)
        shown = str(list(arguments)).replace("'", '"')
        assert (done.returncode, done.stdout.strip()) == (0, f"[{shown}, true]"), done.stderr


def test_a_server_with_a_configuration_file(tmp_path: Path) -> None:
    config = tmp_path / "gunicorn.conf.py"
    config.write_text("workers = 2\n")
    server = (
        tool("gunicorn"),
        "--config",
        str(config),
        "-b",
        "127.0.0.1:{port}",
        "tests.apps.plain_flask:app",
    )
    front = (sys.executable, "-m", "otel_obs.run")
    with Service(*front, *server, cwd=ROOT, log_file=tmp_path / "log", ready_path="/metrics") as service:
        for _ in range(5):
            assert service.get("/items/1").status == 200
        assert service.scrape().total("http_requests_total") == 5


def test_what_cannot_be_executed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command", "--x"]) == 127
    assert capsys.readouterr().err == (
        "otel_obs.run: 'no-such-command' is no command that can be executed; check PATH\n"
    )


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--"], 2), (["--help"], 0), (["-h"], 0)])
def test_its_usage(arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    assert USAGE in "".join(capsys.readouterr())
