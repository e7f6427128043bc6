"""Code on other libraries becomes code on otel_obs, and what comes of it serves true numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_obs.errors import UnreadableError
from otel_obs.migration.editing import Edit, hunks, unified_diff, with_hunks
from otel_obs.migration.migrate import Migration, migrate
from tests.migration import samples
from tests.support.processes import Service, clean_env, tool

ASGI = (
    "from prometheus_client import Counter\nSEEN = Counter('http_requests', 'x')\nclass Count:\n"
    "    def __init__(self, app):\n        self.app = app\n\n"
    "    async def __call__(self, s, r, n):\n        SEEN.inc()\n        await self.app(s, r, n)\n"
)
"""A class that only counts, around no application yet."""


def otel_obs(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [tool("otel-obs"), "migrate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean_env(), cwd=cwd, timeout=240)


def migrated(directory: Path, source: str) -> Migration:
    (directory / "app.py").write_text(source)
    return migrate(directory)


def remedies(found: Migration) -> list[str]:
    return [
        f"{place.line}: {place.remedy}"
        for each in found.found
        for place in each.places
        if not place.is_changed
    ]


@pytest.mark.parametrize("name", sorted(samples.ALL))
def test_each_library_is_replaced_and_the_second_time_nothing_is_left(name: str, tmp_path: Path) -> None:
    before, after = samples.ALL[name]

    (found,) = migrated(tmp_path, before).found

    assert found.text.decode() == after
    assert migrated(tmp_path, after) == Migration((), ())
    compile(found.text, name, "exec")


@pytest.mark.parametrize("name", sorted(samples.ALL))
def test_the_diff_is_what_patch_applies(name: str, tmp_path: Path) -> None:
    before, after = samples.ALL[name]
    (tmp_path / "app.py").write_text(before)

    done = otel_obs("app.py", cwd=tmp_path)
    subprocess.run(
        ["patch", "-p1"], input=done.stdout, text=True, cwd=tmp_path, check=True, capture_output=True
    )

    assert done.returncode == 1
    assert (tmp_path / "app.py").read_text() == after


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("flask_exporter_decorators", ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "app:app"]),
        ("flask_middleware", ["gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "app:app"]),
        ("asgi_class", ["uvicorn", "--workers", "2", "--port", "{port}", "app:app"]),
        ("instrumentator", ["uvicorn", "--workers", "2", "--port", "{port}", "app:app"]),
        (
            "multi_process",
            ["opentelemetry-instrument", "--", "gunicorn", "-w", "2", "-b", "127.0.0.1:{port}", "app:app"],
        ),
    ],
)
def test_what_was_written_serves_the_numbers_of_all_workers(
    name: str, command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(samples.ALL[name][0])
    assert otel_obs("app.py", "--write", cwd=tmp_path).returncode == 1

    program = [tool(part) if part in (command[0], "gunicorn") else part for part in command]
    with Service(*program, cwd=tmp_path, log_file=tmp_path / "log") as service:
        for number in range(20):
            assert service.get(f"/items/{number}").text.strip() == str(number)
        page = service.get("/metrics").text

    counted = [
        float(line.split()[-1])
        for line in page.splitlines()
        if line.startswith("http_requests_total{") and "items" in line
    ]
    assert sum(counted) == 20
    if "sold" in samples.ALL[name][0]:
        assert re.search(r"^(items_)?sold_total(\{.*\})? 20\.0$", page, re.M)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            (
                "from prometheus_fastapi_instrumentator import Instrumentator\n"
                "Instrumentator().instrument(app).expose(app, dependencies=[x])\n"
            ),
            "2: not changed, as its page is protected: set OTEL_OBS_METRICS_TOKEN",
        ),
        (
            (
                "from prometheus_fastapi_instrumentator import Instrumentator\n"
                "Instrumentator().add(mine).instrument(app)\n"
            ),
            "2: not changed, as line 2 adds a function of your own",
        ),
        (
            "from prometheus_flask_exporter import *\nmetrics = PrometheusMetrics(app)\n",
            "1: not followed: import by name",
        ),
        (
            "from prometheus_flask_exporter import PrometheusMetrics\nrun(PrometheusMetrics(app))\n",
            "2: not changed, as it is part of more",
        ),
        (
            (
                "import os\nfrom prometheus_client import Counter\n"
                "os.environ['PROMETHEUS_MULTIPROC_DIR'] = '/x'\n"
                "print(os.environ['PROMETHEUS_MULTIPROC_DIR'])\n"
            ),
            "3: not changed, as other code reads it",
        ),
        (
            (
                "from flask import Flask\nfrom prometheus_client import start_http_server\n"
                "server, thread = start_http_server(9)\n"
            ),
            "3: not changed, as it is part of more",
        ),
        (
            (
                "from prometheus_client import Counter\n"
                "SEEN = Counter('http_requests', 'x', ['tenant'])\n"
                "@app.after_request\ndef stop(r):\n    SEEN.labels('a').inc()\n    return r\n"
            ),
            "3: not changed, as it does or counts more",
        ),
        (
            (
                "from prometheus_client import Counter\n"
                "SEEN = Counter('http_requests', 'x')\n"
                "@app.after_request\ndef stop(r):\n    SEEN.inc()\n    r.headers['x'] = 'y'\n    return r\n"
            ),
            "3: not changed, as it does or counts more",
        ),
        (
            ASGI.replace("await self.app(s, r, n)", "s['x'] = 1\n        await self.app(s, r, n)")
            + "app = Count(app)\n",
            "3: not changed, as it does or counts more",
        ),
        (
            ASGI.replace("(s, r, n)\n", "(s, r, log(n))\n") + "app = Count(app)\n",
            "3: not changed, as it does or counts more",
        ),
        (
            ASGI.replace("    async", "    def size(self): ...\n\n    async") + "app = Count(app)\n",
            "3: not changed, as it does or counts more",
        ),
        (ASGI, "3: not changed, as nothing in this file puts it around an application"),
        (
            ASGI + "app = Starlette(middleware=[Middleware(Count)])\n",
            "3: not changed, as line 10 puts it in another way around an application",
        ),
        (
            (
                "from metrics import REQUESTS\nclass Count(BaseHTTPMiddleware):\n"
                "    async def dispatch(self, request, call_next):\n        REQUESTS.inc()\n"
                "        return await call_next(request)\napp.add_middleware(Count)\n"
            ),
            "2: not changed, as it does or counts more",
        ),
        (
            (
                "from prometheus_client import Counter\nSEEN = Counter('http_requests', 'x')\n"
                "class Count(BaseHTTPMiddleware):\n"
                "    async def dispatch(self, request, call_next):\n        SEEN.inc()\n"
                "        try:\n            return await call_next(request)\n"
                "        except ValueError:\n            return None\napp.add_middleware(Count)\n"
            ),
            "3: not changed, as it does or counts more",
        ),
    ],
)
def test_what_cannot_be_changed_safely_is_said_and_left(source: str, expected: str, tmp_path: Path) -> None:
    found = migrated(tmp_path, source)

    assert remedies(found)[0].startswith(expected)
    assert [each.text.decode() for each in found.found] == [source]
    assert not any(each.diff for each in found.found)


def test_what_prometheus_client_does_under_the_wrapper_is_left_alone(tmp_path: Path) -> None:
    source = (
        "from prometheus_client import Counter, generate_latest, push_to_gateway, start_http_server\n"
        "C = Counter('c', 'x')\nstart_http_server(1)\nC.inc()\nprint(generate_latest())\n"
    )

    assert migrated(tmp_path, source) == Migration((), ())


def test_what_another_file_takes_is_left(tmp_path: Path) -> None:
    (tmp_path / "views.py").write_text(
        "from app import metrics\n\n\n@metrics.counter('a', 'b')\ndef view(): ...\n"
    )

    found = migrated(tmp_path, samples.FLASK_FACTORY[0])

    assert remedies(found)[0].startswith("4: not changed, as other files use it")


def test_a_class_that_another_file_takes_is_left(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("from app import Count\n\napp.add_middleware(Count)\n")

    found = migrated(tmp_path, ASGI + "app = Count(app)\n")

    assert remedies(found)[0].startswith("3: not changed, as other files use it: take it out there")


def test_an_object_that_is_called_and_counts_is_no_middleware(tmp_path: Path) -> None:
    source = ASGI.replace("await self.app(s, r, n)", "await send(s, r, n)")

    assert migrated(tmp_path, source + "job = Count(app)\n") == Migration((), ())


def test_an_application_is_instrumented_once(tmp_path: Path) -> None:
    source = (
        "import otel_obs\nfrom prometheus_flask_exporter import PrometheusMetrics\n"
        "app = make()\notel_obs.instrument(app)\nPrometheusMetrics(app)\n"
    )

    (found,) = migrated(tmp_path, source).found

    assert found.text == b"import otel_obs\napp = make()\notel_obs.instrument(app)\n"


def test_files_that_cannot_be_read_are_named_and_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(samples.GUNICORN[0])
    (tmp_path / "broken.py").write_text("def (\n")
    (tmp_path / "deep.py").write_text("(" * 100_000)
    (tmp_path / "latin.py").write_bytes(b"x = '\xe9'\n")
    (tmp_path / "link.py").symlink_to("app.py")
    (tmp_path / "nul.py").write_bytes(b"x = 1\0\n")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "theirs.py").write_text(samples.GUNICORN[0])

    found = migrate(tmp_path)

    assert [each.path.name for each in found.found] == ["app.py"]
    assert [Path(name).name for name, _ in found.unread] == [
        "broken.py", "deep.py", "latin.py", "link.py", "nul.py", "pipe.py",
    ]  # fmt: skip
    with pytest.raises(UnreadableError, match="latin.py is not UTF-8"):
        migrate(tmp_path / "latin.py")


def test_a_read_only_file_is_named_and_others_are_written(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(samples.GUNICORN[0])
    (tmp_path / "a.py").chmod(0o444)
    (tmp_path / "b.py").chmod(0o754)

    done = otel_obs(".", "--write", "--json", cwd=tmp_path)

    assert done.returncode == 1
    assert json.loads(done.stdout)["unwritten"] == [
        ["a.py", "is read-only; make it writable and run the command again"]
    ]
    assert (tmp_path / "a.py").read_text() == samples.GUNICORN[0]
    assert (tmp_path / "b.py").read_text() == samples.GUNICORN[1]
    assert (tmp_path / "b.py").stat().st_mode & 0o777 == 0o754
    assert sorted(os.listdir(tmp_path)) == ["a.py", "b.py"]


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("x = 1\n")

    nothing, nowhere = otel_obs(".", cwd=tmp_path), otel_obs("nowhere", cwd=tmp_path)

    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "nothing to change\n")
    assert (nowhere.returncode, nowhere.stderr) == (2, "otel-obs: nowhere is no file and no directory\n")


def test_line_ends_and_the_mark_at_the_beginning_stay(tmp_path: Path) -> None:
    before, after = samples.FLASK_EXPORTER
    (tmp_path / "app.py").write_bytes(b"\xef\xbb\xbf" + before.replace("\n", "\r\n").encode())

    (found,) = migrate(tmp_path).found

    assert found.text == b"\xef\xbb\xbf" + after.replace("\n", "\r\n").encode()


def test_time_grows_with_the_size_of_the_code(tmp_path: Path) -> None:
    def seconds(size: int) -> float:
        parts = [
            "os.environ['PROMETHEUS_MULTIPROC_DIR'] = 'x'\n",
            "multiprocess.MultiProcessCollector(registry)\n",
            "metrics.init_app(app)\n",
            "PrometheusMetrics(app)\n",
        ]
        head = (
            "import os\nfrom prometheus_client import multiprocess\n"
            "from prometheus_flask_exporter import PrometheusMetrics\nmetrics = PrometheusMetrics()\n"
        )
        (tmp_path / "app.py").write_text(head + "".join(part * size for part in parts))
        begin = time.process_time()
        assert migrate(tmp_path).found
        return time.process_time() - begin

    seconds(50)
    assert min(seconds(800) for _ in range(2)) < 9 * max(seconds(200), 0.01)


@given(
    st.lists(st.sampled_from([b"a\n", b"b\r\n", b"\n", b"c\n"]), min_size=1, max_size=12),
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 4), st.sampled_from([b"", b"new\n", b"x\ny\n"])),
        max_size=4,
    ),
)
def test_changes_of_whole_lines_are_applied_as_a_list_of_lines_would_be(
    lines: list[bytes], wanted: list[tuple[int, int, bytes]]
) -> None:
    edits, expected, at = [], [], 0
    for first, size, text in sorted(wanted):
        last = min(first + size, len(lines))
        if first <= at or last <= first:
            continue
        edits.append(Edit((first, 0), (last, 0), text))
        expected += [*lines[at:first], text]
        at = last
    changes = hunks(lines, edits)

    assert with_hunks(lines, changes) == b"".join([*expected, *lines[at:]])
    removed = [line for line in unified_diff("x.py", lines, changes).split("\n")[2:] if line.startswith("-")]
    assert len(removed) == sum(edit.end[0] - edit.start[0] for edit in edits)
