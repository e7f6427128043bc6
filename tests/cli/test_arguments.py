"""Every command with every kind of a user's mistake: exit code 2 with one message, and no error of ours."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import shlex
import socket
import string
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_obs import cli
from otel_obs.cli.commands import app
from otel_obs.reading.fetch import is_loopback


class Told(NamedTuple):
    """The exit code of a command, and what it has printed."""

    code: int
    out: str
    err: str


def told(*arguments: str) -> Told:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    return Told(code, out.getvalue(), err.getvalue())


def commands(group: Any = None, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command with its words; a group is replaced by its commands."""
    root: Any = typer.main.get_command(app)
    for name, command in (group or root).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


COMMANDS = {" ".join(words): command for words, command in commands()}
# These would start something that stays, or ask the internet; what they refuse is tested by name below.
STARTING = ("demo", "view", "stack up", "stack fetch", "stack down")


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file of each kind that users give by mistake."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("socket.getaddrinfo", partial(_local_only, socket.getaddrinfo))
    (tmp_path / "page.prom").write_text("# HELP a A.\n# TYPE a gauge\na 1\n")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "directory").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


def _local_only(resolve: Callable[..., Any], host: str, *arguments: Any, **options: Any) -> Any:
    """Resolve this machine's names: what a test makes up is asked of nobody."""
    if not is_loopback(host):
        raise socket.gaierror(socket.EAI_NONAME, "no such host")
    return resolve(host, *arguments, **options)


def test_every_command_prints_json_on_demand() -> None:
    with_json = {
        name for name, command in COMMANDS.items() for each in command.params if "--json" in each.opts
    }

    assert with_json == COMMANDS.keys()


def test_every_number_has_bounds() -> None:
    """So that no clock, no socket and no product of two is given more than it can hold."""
    unbounded = [
        (name, argument)
        for name, command in COMMANDS.items()
        for argument, (kind, told) in _annotations(command.callback).items()
        if kind in (int, float, int | None, float | None) and (told.min is None or told.max is None)
    ]

    assert unbounded == []


def _annotations(callback: Any) -> dict[str, tuple[Any, Any]]:
    """The type of each option, and what typer is told of it."""
    hints = get_type_hints(inspect.unwrap(callback), include_extras=True)
    return {name: (hint.__origin__, hint.__metadata__[0]) for name, hint in hints.items() if name != "return"}


MISTAKES = (
    *(
        "",
        "-",
        "--",
        "page.prom",
        "empty",
        "binary",
        "directory",
        "loop",
        "page.prom/x",
        "/nowhere/page.prom",
    ),
    *(":1", "localhost:1", "http://127.0.0.1:1/metrics", "http://", "http://[::1", "ftp://127.0.0.1", ":0"),
    *("http://127.0.0.1:1/é 한", "http://127.0.0.1:1/한?a=é", "file:///etc/passwd", "\ud800", "a\x1b[31mb"),
    *("nan", "inf", "-inf", "-1", "0", "1e400", "9" * 400, "x" * 300, "²", "1_0", "0x1", "8 per 1000 series"),
    *("http", "prometheus", "availability=99.9", "latency=95%<500ms", "a=b", "A: b", "a: \x00", "한: 한"),
)
WORDS = st.one_of(
    st.sampled_from(MISTAKES),
    st.text(st.characters(blacklist_characters="\x00"), max_size=12),
    st.text(string.printable, max_size=12),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in STARTING])
@pytest.mark.timeout(300)
def test_no_argument_is_an_error_of_ours(name: str, directory: Path, data: st.DataObject) -> None:
    options = [opt for param in COMMANDS[name].params for opt in param.opts if opt.startswith("-")]
    option = st.tuples(st.sampled_from(options), WORDS).map(list)
    parts = data.draw(st.lists(st.one_of(WORDS.map(lambda word: [word]), option), max_size=5))
    arguments = [word for part in parts for word in part]
    if name == "generate":
        arguments += ["--out", str(directory / "out")]

    done = told(*name.split(), *arguments)

    assert done.code in (0, 1, 2), done
    assert done.err or done.code != 2, done
    assert "an error of otel-obs itself" not in done.err, done
    assert "Traceback" not in done.err
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("check", "Missing argument"),
        ("check x:1 --nope", "No such option"),
        ("check page.prom --timeout inf", "Invalid value for '--timeout'"),
        ("check page.prom --timeout nan", "Invalid value for '--timeout'"),
        ("check page.prom --scrapes -1", "Invalid value for '--scrapes'"),
        ("budget page.prom --instances 99999999999999999999", "Invalid value for '--instances'"),
        ("budget page.prom --price 1e999", "--price '1e999' is no price"),
        ("budget directory", "directory is a directory; give a file, or an address"),
        ("budget empty", "empty holds no metric; give a page of metrics"),
        ("budget binary", "binary holds no metric; give a page of metrics"),
        ("budget nobody.invalid:1", "cannot be reached: there is no such host"),
        ("budget :1", "http://localhost:1/metrics cannot be reached: Connection refused"),
        ("budget http://127.0.0.1:1/한", "http://127.0.0.1:1/%ED%95%9C cannot be reached"),
        (
            "budget http://한.invalid",
            "http://xn--6q8b.invalid/metrics cannot be reached: there is no such host",
        ),
        ("diff page.prom page.prom/x", "Connection refused|no such host|is no file"),
        ("check :1 --header 한:1", "'한:1' is not a header"),
        ("check :1 --header a:한", "'a:한' is not a header"),
        ("doctor --pid 2147483646", "process 2147483646 is not there"),
        ("doctor -- ''", "'' runs no program"),
        ("migrate " + "x" * 300, "cannot be read: File name too long"),
        ("migrate loop", "loop is a symbolic link"),
        ("generate prometheus --groups http --out page.prom", "page.prom/prometheus.yml would be in a file"),
        ("generate prometheus --groups http --out o --interval 999999999d", "is none that Prometheus knows"),
        ("stack up --from :1 --port x", "--port x is no port of a part"),
        ("stack up --from :1 --port prometheus=²", "--port prometheus=² is no port of a part"),
        ("stack up --from :1 --size -1GB", "--size '-1GB' is no number"),
        ("stack fetch --base file:///etc", "--base 'file:///etc' is no URL"),
        ("stack fetch --base http://127.0.0.1:1 --dir page.prom", "cannot be fetched"),
        ("stack logs nothing", "part 'nothing' does not exist"),
        ("stack logs prometheus", "prometheus has no log in"),
        ("view ftp://x", "'ftp://x' is not an address"),
        ("view --port 65536", "Invalid value for '--port'"),
        ("view --interval inf", "Invalid value for '--interval'"),
        ("demo --workers 0", "Invalid value for '--workers'"),
        ("demo --seconds nan", "Invalid value for '--seconds'"),
        ("top :1", "http://localhost:1/metrics cannot be reached"),
        ("analyze --prometheus ftp://x", "is not an address"),
    ],
)
def test_a_mistake_is_named(
    command: str, said: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")

    done = told(*shlex.split(command))

    assert (done.code, done.out) == (2, "")
    assert any(part in done.err for part in said.split("|")), done.err
    assert re.search("Traceback|otel-obs itself", done.err) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_named(directory: Path) -> None:
    (directory / "page.prom").chmod(0)

    assert told("check", "page.prom") == Told(
        2, "", "otel-obs: page.prom cannot be read: Permission denied\n"
    )


def test_what_the_system_refuses_is_one_message(directory: Path) -> None:
    assert told("stack", "down", "--dir", "page.prom") == Told(0, "nothing was running\n", "")
    assert told("stack", "logs", "prometheus", "--dir", "x" * 300).code == 2
