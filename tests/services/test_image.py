"""A container image, really built and run: process 1 is the server, the root read-only, the user a number."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support import leftovers
from tests.support.processes import free_port
from tests.support.programs import ROOT
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import request

HERE = Path(__file__).parent
CERTIFICATES = Path("/etc/ssl/certs")
LIMIT_S = 1500
pytestmark = pytest.mark.timeout(LIMIT_S)
SHARED_MEMORY = "64m"
Image = tuple[Path, str, dict[str, str], list[str]]
SENT, SCRAPES = 60, 8

# What a container runtime does: namespaces, a root that is read-only, memory of its own, a user. Process 1 is
# executed anew at every step, and is the server in the end.
RUNTIME = f"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
for place in dev proc; do mkdir -p "$1/$place"; done
mount -o remount,bind,ro "$1"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o size={SHARED_MEMORY},mode=1777 tmpfs "$1/dev/shm"
mount -t proc proc "$1/proc"
cd /
root=$1; user=$2; shift 2
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i --chdir=/service "$@"
"""
COMMANDS = {
    "gunicorn": [
        "gunicorn",
        "--no-control-socket",
        "--worker-tmp-dir",
        "/dev/shm",
        "-w",
        "3",
        "-b",
        "127.0.0.1:PORT",
        "counted_wsgi:app",
    ],
    "gunicorn, wrapped": [
        *(
            "opentelemetry-instrument",
            "--",
            "gunicorn",
            "--no-control-socket",
            "--worker-tmp-dir",
            "/dev/shm",
            "-w",
            "3",
        ),
        *("-b", "127.0.0.1:PORT", "counted_wsgi:app"),
    ],
    "uvicorn": ["uvicorn", "--workers", "3", "--port", "PORT", "counted_asgi:app"],
}


def output_of(*command: str, cwd: Path = ROOT) -> str:
    """What a command prints; the log of one that fails is in the error."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The built image's root, its user, its environment and its command."""
    if os.geteuid() != 0:
        pytest.skip("an image is built and run by root")
    based = subprocess.run([ROOT / "scripts" / "base-image"], capture_output=True, text=True)
    if based.returncode == 3:
        pytest.skip(f"no base image can be had: {based.stderr[-500:]}")
    assert based.returncode == 0, based.stderr[-3000:]
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        (context / "wheel").mkdir()
        build = (sys.executable, "-m", "build", "--wheel", "--no-isolation")
        output_of(*build, "--outdir", str(context / "wheel"))
        shutil.copy(ROOT / "constraints.txt", context / "wheel")
        shutil.copytree(HERE / "apps", context / "apps", ignore=shutil.ignore_patterns("__pycache__"))
        for program in (context / "apps").glob("counted_*.py"):
            program.write_text(program.read_text().replace("tests.services.apps.counted", "counted"))
        shutil.copy(HERE / "image" / "Containerfile", context)
        name = f"localhost/otel-obs-test:{os.getpid()}"
        certificates = f"{CERTIFICATES}:{CERTIFICATES}:ro"
        network = ("--isolation", "chroot", "--network", "host", "--volume", certificates)
        given = ("--build-arg", f"BASE={based.stdout.strip()}", "-t", name)
        output_of("buildah", "bud", "--pull-never", *network, *given, ".", cwd=context)
        container = output_of("buildah", "from", "--pull-never", name)
        try:
            root = Path(output_of("buildah", "mount", container))
            config = json.loads(output_of("buildah", "inspect", container))["OCIv1"]["config"]
            environ = dict(entry.split("=", 1) for entry in config["Env"])
            yield root, config["User"], environ, config["Cmd"]
        finally:
            output_of("buildah", "rm", container)
            output_of("buildah", "rmi", name)


def test_the_image_is_for_a_numeric_user(image: Image) -> None:
    _, user, _, command = image
    assert user.replace(":", "").isdecimal()
    assert command[0] == "gunicorn"  # neither a shell nor an init


@pytest.mark.parametrize("server", COMMANDS)
def test_the_server_is_process_1(server: str, image: Image, tmp_path: Path) -> None:
    root, user, environ, _ = image
    way = "wrapper" if "wrapped" in server else "one line"
    variables = [f"{name}={value}" for name, value in {**environ, "MATRIX_WAY": way}.items()]
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in COMMANDS[server]]
    namespaces = ("unshare", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child")
    log = tmp_path / "log"
    with log.open("wb") as file:
        runtime = subprocess.Popen(
            [*namespaces, "/bin/sh", "-c", RUNTIME, "sh", str(root), user, *variables, *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    leftovers.watch(runtime.pid)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: request(f"{url}/health").status == 200, f"{server} as process 1", 120)
        (first,) = psutil.Process(runtime.pid).children()
        assert first.uids().effective == int(user.partition(":")[0])
        workers = [each for each in first.children() if "resource_tracker" not in " ".join(each.cmdline())]
        assert len(workers) == 3
        compare(url, SENT)
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        until(lambda: request(f"{url}/health").status == 200, "the next workers", 120)
        compare(url, 2 * SENT)
        first.send_signal(signal.SIGTERM)
        runtime.wait(60)
    finally:
        leftovers.end(runtime.pid)
        runtime.wait()
        print(log.read_text())
    assert "merged" not in log.read_text()


def compare(url: str, total: int) -> None:
    """Send some requests more, and see all that were sent on every scrape."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: request(f"{url}/hit", timeout_s=60).status, range(SENT)))
    assert answers == [200] * SENT
    for _ in range(SCRAPES):
        samples = parse_samples(request(f"{url}/metrics", timeout_s=60).text)
        assert samples.total("http_requests_total", endpoint="/hit") == total
