"""A stack without Docker: started, seen, ended, for real; and what is downloaded is what was published."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_obs.cli.stack import up
from otel_obs.errors import OperationsError
from otel_obs.ops.stack.download import Release, fetch_release, this_system
from otel_obs.ops.stack.processes import stack_state
from otel_obs.ops.stack.programs import PARTS, part_program
from tests.support.classifier import classifier, image
from tests.support.ports import free_port
from tests.support.processes import clean_env
from tests.support.waiting import until
from tests.support.web import request

PROGRAMS = [part for part in PARTS if part.is_needed and not part_program(part, Path("/nowhere"))]
needs_programs = pytest.mark.skipif(bool(PROGRAMS), reason="prometheus or alertmanager is not installed")


def otel_obs(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, "-m", "otel_obs", *arguments],
        cwd=cwd,
        env=clean_env({"PYTHONPATH": str(root)}),
        capture_output=True,
        text=True,
        timeout=180,
    )


@needs_programs
@pytest.mark.prometheus
@pytest.mark.timeout(400)
def test_a_stack_is_started_seen_and_ended(tmp_path: Path) -> None:
    ports = {"prometheus": free_port(), "alertmanager": free_port()}
    options = [option for part, port in ports.items() for option in ("--port", f"{part}={port}")]
    with classifier(tmp_path / "log", workers=1) as service:
        service.post("/predict", {"image": image(1)})
        up = ["stack", "up", "--from", service.url, "--job", "classifier", "--interval", "1s", *options]
        try:
            done = otel_obs(*up, cwd=tmp_path)
            assert (done.returncode, done.stderr) == (0, ""), done.stderr
            assert f"prometheus is ready at http://127.0.0.1:{ports['prometheus']}" in done.stdout

            def target() -> str:
                url = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query=up%7Bjob%3D%22classifier%22%7D"
                found = request(url).json()["data"]["result"]
                return str(found and found[0]["value"][1])

            until(lambda: target() == "1", "the target is up", 150)
            before = stack_state(tmp_path / "monitoring")
            again = otel_obs(*up, cwd=tmp_path)
            assert (again.returncode, again.stderr) == (0, "")
            assert f"prometheus runs already: http://127.0.0.1:{ports['prometheus']}" in again.stdout
            promised = otel_obs(*up, "--slo", "availability=99.9", cwd=tmp_path)
            assert "prometheus runs already, and has read its configuration anew" in promised.stdout
            rules = request(f"http://127.0.0.1:{ports['prometheus']}/api/v1/rules").text
            # The label is the service's own name for it, and nothing here has said so.
            assert "SLOBudgetBurnFast" in rules
            assert 'status=~\\"5..\\"' in rules
            assert [state.pid for state in stack_state(tmp_path / "monitoring")] == [
                state.pid for state in before
            ]

            status = otel_obs("stack", "status", "--json", cwd=tmp_path)
            assert status.returncode == 0
            assert [(each["name"], each["is_ready"]) for each in json.loads(status.stdout)] == [
                ("prometheus", True),
                ("alertmanager", True),
            ]
            assert otel_obs("stack", "logs", "prometheus", cwd=tmp_path).stdout

            pid = before[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            until(lambda: not psutil.pid_exists(pid), "Prometheus is gone")
            assert otel_obs("stack", "status", cwd=tmp_path).returncode == 1
        finally:
            down = otel_obs("stack", "down", cwd=tmp_path)
    assert "ended alertmanager" in down.stdout
    assert otel_obs("stack", "down", cwd=tmp_path).stdout == "nothing was running\n"
    # What has ended is there until its parent, process 1, has asked for its end.
    until(lambda: not any(state.pid and psutil.pid_exists(state.pid) for state in before), "both are gone")


@needs_programs
@pytest.mark.timeout(400)
def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    with classifier(tmp_path / "log", workers=1) as service:
        service.get("/health")
        done = otel_obs(
            *("stack", "up", "--from", service.url, "--port", f"prometheus={service.port}"), cwd=tmp_path
        )

    assert done.returncode == 2
    assert done.stderr == (
        f"otel-obs: port {service.port} of prometheus cannot be taken: Address already in use; "
        "end who has it, or choose another with --port prometheus=PORT\n"
    )
    assert stack_state(tmp_path / "monitoring") == []


@contextmanager
def serving(
    directory: Path, handler: type[SimpleHTTPRequestHandler] = SimpleHTTPRequestHandler
) -> Iterator[str]:
    """The address at which a directory's files are served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


PAGE = """\
# TYPE http_requests_total counter
http_requests_total{method="GET",endpoint="/x",status_code="200"} 1
# TYPE otel_obs_workers gauge
otel_obs_workers 1
# TYPE target_info gauge
target_info{service_name="shop"} 1
"""


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of what looks like a service."""
    directory = tmp_path_factory.mktemp("service")
    (directory / "metrics").write_text(PAGE)
    with serving(directory) as address:
        yield address


@needs_programs
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "fr"}, "--language 'fr' does not exist; expected one of en, ko"),
        ({"retention": "15"}, "--retention '15' is no number of h or d or w or y; write it as 15d"),
        ({"retention": "0d"}, "--retention '0d' is no number of h or d or w or y; write it as 15d"),
        ({"size": "lots"}, "--size 'lots' is no number of MB or GB or TB; write it as 10GB"),
        ({"webhook": "here"}, "--webhook 'here' is no URL; write it as https://host/path"),
        ({"port": ["prometheus"]}, "--port prometheus is no port of a part; write logs=PORT, traces=PORT"),
        (
            {"port": ["prometheus=19095", "alertmanager=19095"]},
            "port 19095 of alertmanager is that of prometheus; choose another with --port alertmanager=PORT",
        ),
        (
            {"slo": ["availability=99", "availability=98"]},
            "objective 'availability' is there twice; give --slo once for each",
        ),
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_cannot_be_is_named_before_anything_starts(
    options: dict[str, Any], message: str, usual: str, tmp_path: Path
) -> None:
    with pytest.raises(OperationsError) as raised:
        up(usual, tmp_path, **options)

    assert str(raised.value).startswith(message)
    assert stack_state(tmp_path) == []


def test_a_process_that_has_the_id_of_another_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        run = tmp_path / "monitoring" / "run"
        run.mkdir(parents=True)
        (run / "prometheus.json").write_text(json.dumps({"pid": other.pid, "began_s": 1.0, "port": 9090}))

        assert otel_obs("stack", "down", cwd=tmp_path).stdout == "nothing was running\n"
        assert other.poll() is None
        assert not (run / "prometheus.json").exists()
    finally:
        other.kill()
        other.communicate()


RELEASE = Release("prometheus", "9.9.9")
ARCHIVE = f"prometheus-9.9.9.{this_system()}.tar.gz"


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


GOOD = archive(
    ("prometheus-9.9.9/LICENSE", b"free"), ("prometheus-9.9.9/prometheus", b"#!/bin/sh\necho 9.9.9\n")
)


class Page(SimpleHTTPRequestHandler):
    """A release page; an archive that is marked so ends early."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not (path.parent / "cut").exists() or path.suffix == ".txt":
            return super().do_GET()
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    directory = tmp_path / "page" / RELEASE.path
    directory.mkdir(parents=True)
    (directory / ARCHIVE).write_bytes(GOOD)
    (directory / "sha256sums.txt").write_text(f"{hashlib.sha256(GOOD).hexdigest()}  {ARCHIVE}\n")
    with serving(tmp_path / "page", Page) as address:
        yield address, directory


def test_what_was_published_is_installed(page: tuple[str, Path], tmp_path: Path) -> None:
    program = fetch_release(RELEASE, tmp_path / "stack", page[0])

    assert subprocess.run([program], capture_output=True, text=True).stdout == "9.9.9\n"
    assert [path.name for path in (tmp_path / "stack" / "bin").iterdir()] == ["prometheus"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda d: (d / ARCHIVE).write_bytes(GOOD[:-1] + b"x"),
            "has the SHA-256 .* is published; nothing was",
        ),
        (lambda d: (d / "cut").touch(), "cannot be fetched|ended after"),
        (lambda d: (d / ARCHIVE).unlink(), "answered 404; there is no such release"),
        (lambda d: (d / "sha256sums.txt").unlink(), "answered 404; there is no such release"),
        (
            lambda d: (d / "sha256sums.txt").write_text("0" * 64 + "  other.tar.gz\n"),
            "has no sum of prometheus-9.9.9",
        ),
        (lambda d: publish(d, b"no archive"), "is no archive"),
        (
            lambda d: publish(d, archive(("../../prometheus", b"x"), ("a/b/prometheus", b"x"))),
            "does not hold prometheus",
        ),
    ],
    ids=["broken", "truncated", "missing", "no sums", "not in the sums", "no archive", "nothing in it"],
)
def test_what_is_not_what_was_published_is_refused(
    page: tuple[str, Path], spoil: object, message: str, tmp_path: Path
) -> None:
    spoil(page[1])  # type: ignore[operator]

    with pytest.raises(OperationsError, match=message):
        fetch_release(RELEASE, tmp_path / "stack", page[0])

    assert not list((tmp_path / "stack").rglob("prometheus*"))


def publish(directory: Path, content: bytes) -> None:
    (directory / ARCHIVE).write_bytes(content)
    (directory / "sha256sums.txt").write_text(f"{hashlib.sha256(content).hexdigest()}  {ARCHIVE}\n")


def test_a_system_without_builds_is_named() -> None:
    assert this_system("Linux", "aarch64") == "linux-arm64"
    with pytest.raises(OperationsError, match="^plan9 on mips has no build"):
        this_system("plan9", "mips")
