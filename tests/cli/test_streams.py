"""The command with streams that are closed, full, without a reader, or in ASCII; and with hostile text."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_arguments import told
from tests.cli.test_command import otel_obs
from tests.support.endpoints import Endpoint, Reply, always
from tests.support.processes import clean_env, tool
from tests.support.waiting import until

PAGE = "# HELP a A.\n# TYPE a gauge\na 1\n"
MANY = "".join(f"# HELP m{n} M.\n# TYPE m{n} gauge\nm{n} NaN\n" for n in range(600))
HOSTILE = "\x1b]0;x\x07\x9b31m\u202e\u2028\x7f\\nend"
"""Sets a terminal's title, its colour and the direction of writing, and begins a line."""
TERMINALS = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii:strict"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1:strict"},
}


def shell(script: str, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "page.prom").write_text(PAGE)
    (tmp_path / "many.prom").write_text(MANY)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, tool("otel-obs")],
        cwd=tmp_path,
        env=clean_env(env),
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('"$0" check page.prom | true', 0),
        ('"$0" check many.prom | head -1', 1),
        ('"$0" check many.prom --json | head -1', 1),
        ('"$0" budget many.prom --top 600 | head -1', 0),
        ('"$0" check --help | true', 0),
        ('"$0" check nowhere.prom 2>&1 | true', 2),
        ('"$0" check page.prom >&-', 0),
        ('"$0" check page.prom --json >&- 2>&-', 0),
        ('"$0" check nowhere.prom 2>&-', 2),
        ('"$0" check page.prom <&-', 0),
        ('"$0" check - <&-', 1),
    ],
)
def test_a_stream_that_ends_leaves_the_exit_code_and_says_nothing(
    script: str, code: int, tmp_path: Path
) -> None:
    done = shell(script, tmp_path)

    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("options", ["", "--json"])
def test_a_full_disk_is_said(options: str, tmp_path: Path) -> None:
    done = shell(f'"$0" check page.prom {options} > /dev/full', tmp_path)

    assert done.returncode == 2
    assert done.stderr == b"otel-obs: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_terminal_without_unicode_shows_numbers_for_what_it_lacks(terminal: str, tmp_path: Path) -> None:
    (tmp_path / "한.prom").write_text("# HELP a A.\n# TYPE a gauge\na NaN\n")
    env = TERMINALS[terminal]

    done = shell('"$0" check *한.prom; "$0" budget x한; "$0" check --help', tmp_path, **env)

    assert b"Traceback" not in done.stderr
    assert b"otel-obs itself" not in done.stderr
    assert b"OBS031" in done.stdout


@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_rate_has_a_line_in_every_terminal(terminal: str) -> None:
    with Endpoint(
        always(
            '# TYPE http_requests_total counter\nhttp_requests_total{endpoint="/한",status_code="200"} 5\n'
        )
    ) as endpoint:
        done = otel_obs("top", endpoint.url, "--interval", "0.2", env=TERMINALS[terminal])

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "/\\ud55c" in done.stdout


def test_no_color_is_obeyed_and_a_pipe_has_none(tmp_path: Path) -> None:
    for env in ({"NO_COLOR": "1", "FORCE_COLOR": ""}, {"TERM": "dumb"}, {}):
        done = shell('"$0" check many.prom; "$0" check nope.prom --timeout x', tmp_path, **env)

        assert b"\x1b" not in done.stdout + done.stderr


def hostile_page() -> str:
    """A page whose help, labels and values want to control a terminal."""
    label = HOSTILE.replace("\n", "")
    times = "".join(
        f'http_request_duration_seconds_bucket{{endpoint="{label}",status_code="500",le="{le}"}} {{n}}\n'
        for le in ("1", "+Inf")
    )
    return (
        f"# HELP a_total {label}\n# TYPE a_total counter\n"
        f'a_total{{x="{label}"}} NaN\na_total{{x="{label}"}} -1\n'
        f"# TYPE http_requests_total counter\n"
        f'http_requests_total{{endpoint="{label}",status_code="500"}} {{n}}\n'
        f"# TYPE http_request_duration_seconds histogram\n{times}"
        f"# TYPE {label} {label}\n{label} {label}\n"
    )


def is_harmless(text: str) -> bool:
    """Whether a terminal only shows it."""
    return all(c.isprintable() or c == "\n" for c in text)


@pytest.mark.parametrize("option", ["", "--json"])
@pytest.mark.parametrize(
    "command",
    [
        "check",
        "budget",
        "top --interval 0.2",
        "diff page.prom",
        "analyze --prometheus",
        "generate prometheus --out o --from",
    ],
)
def test_hostile_text_is_shown_and_controls_nothing(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.prom").write_text(PAGE)
    error = json.dumps({"status": "error", "error": HOSTILE})

    def reply(accept: str, before: int) -> Reply:
        if "json" in accept:
            return Reply(error.encode(), "application/json", status=400)
        header = {"X-Hostile": "\xff\x80", "Content-Language": "\xe9"}
        return Reply(hostile_page().replace("{n}", str(before)).encode(), headers=header)

    with Endpoint(reply) as endpoint:
        done = told(*command.split(), endpoint.url, *option.split())

    assert is_harmless(done.out), done.out
    assert is_harmless(done.err), done.err
    assert "otel-obs itself" not in done.err
    if option and done.out:
        json.loads(done.out)


def test_json_holds_no_surrogate(tmp_path: Path) -> None:
    script = '"$0" doctor --json -- "$(printf \'/x\\xff\\xed\\xa0\\x80\')"'

    done = shell(script, tmp_path)

    (program, *_) = json.loads(done.stdout.decode("utf-8"))["sections"]["command"]
    assert program["value"] == "x\\udcff\\udced\\udca0\\udc80"


def interruptible(*arguments: str) -> subprocess.Popen[str]:
    """A command that Control and C ends; a shell in the background would have it ignore the signal."""
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = f"{start}; from otel_obs.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", start, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_env(),
    )


def test_control_and_c_is_how_a_page_ends() -> None:
    with interruptible("view", "--no-open") as command:
        assert command.stdout is not None
        assert "control and C end it" in command.stdout.readline()
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (0, "")


def test_control_and_c_ends_a_command_with_its_own_code() -> None:
    with (
        Endpoint(always(PAGE)) as endpoint,
        interruptible("check", endpoint.url, "--interval", "60") as command,
    ):
        until(lambda: len(endpoint.asked) >= 3, "the pause between two scrapes", 60)
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)

    assert (command.returncode, errors) == (130, "")


def test_a_port_that_is_taken_is_named() -> None:
    with Endpoint(always(PAGE)) as endpoint:
        done = told("view", "--no-open", "--port", str(endpoint.port))

    assert done.code == 2
    said = f"port {endpoint.port} cannot be used: Address already in use; choose another --port\n"
    assert done.err == f"otel-obs: {said}"
