"""The command as a whole: its exit codes, its help, and that a user's mistake is no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from otel_obs.cli.commands import app
from tests.support.processes import clean_env, tool

ROOT = Path(__file__).parents[2]


def otel_obs(
    *arguments: str, text: str = "", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [tool("otel-obs"), *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, env=clean_env(env), timeout=240
    )


COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(command: str) -> None:
    done = otel_obs(command, "--help", env={"COLUMNS": "200"})

    assert done.returncode == 0
    assert f"otel-obs {command} " in done.stdout.split("Examples")[1]


def test_the_module_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otel_obs", "--version"], capture_output=True, text=True, env=clean_env()
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, otel_obs("--version").stdout, "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chekc"], "No such command"),
        (["check"], "Missing argument"),
        (["check", "/nowhere/page.prom"], "otel-obs: /nowhere/page.prom is no file\n"),
        (["check", "http://"], "otel-obs: 'http://' is not an address; expected one such as"),
        (["check", "http://localhost:99999"], "is not an address"),
        (["check", "x:1", "--ignore", "OBS999"], "OBS999 is no code"),
        (["check", "x:1", "--header", "nothing"], "'nothing' is not a header"),
        (["check", "x:1", "--header", "a: b\nc"], "is not a header"),
        (["check", "x:1", "--token-file", "/nowhere"], "/nowhere cannot be read: No such file or directory"),
        (["check", "x:1", "--timeout", "soon"], "--timeout"),
        (
            ["view", "x:1", "--traces", "javascript:x"],
            "otel-obs: --traces javascript:x is no address of a trace",
        ),
    ],
)
def test_a_mistake_of_the_user_is_exit_code_2_and_one_message(arguments: list[str], said: str) -> None:
    done = otel_obs(*arguments, env={"COLUMNS": "200"})

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_shell_completes_commands() -> None:
    asked = {"_OTEL_OBS_COMPLETE": "complete_bash", "COMP_WORDS": "otel-obs che", "COMP_CWORD": "1"}

    assert otel_obs(env=asked).stdout.split() == ["check"]


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError('No module named typer', name='typer')")

    done = otel_obs("check", "x:1", env={"PYTHONPATH": str(tmp_path)})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "otel-obs: otel-obs needs typer; install it with: pip install 'otel-obs[cli]'\n"


def test_a_pipe_that_is_closed_is_the_end_and_no_error() -> None:
    page = "".join(f"metric_{n}x 1\n!\n" for n in range(3_000))
    command = f"{tool('otel-obs')} check - --json | head -c 10"

    done = subprocess.run(
        ["bash", "-c", command], input=page, capture_output=True, text=True, env=clean_env(), timeout=240
    )

    assert done.stderr == ""


def test_the_package_does_not_import_the_command_nor_what_it_needs() -> None:
    code = (
        "import otel_obs, otel_obs.distro, sys; print({'typer', 'rich', 'otel_obs.cli'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean_env())

    assert done.stdout == "set()\n"
