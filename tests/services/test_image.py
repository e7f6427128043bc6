"""A container image, really built and run: process 1 is the server, the root read-only, the user a number."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support import leftovers
from tests.support.containers import BuiltImage, built, output_of, run_container
from tests.support.ports import free_port
from tests.support.programs import ROOT
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import request

HERE = Path(__file__).parent
LIMIT_S = 1500
pytestmark = pytest.mark.timeout(LIMIT_S)
SENT, SCRAPES = 60, 8

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


@pytest.fixture(scope="module")
def image() -> Iterator[BuiltImage]:
    """The built image."""
    with tempfile.TemporaryDirectory() as directory:
        context = Path(directory)
        (context / "wheel").mkdir()
        # The image may have another Python, for which nothing compiled here is.
        without_compiled = ("env", "OTEL_OBS_BUILD_COMPILED=off")
        build = (*without_compiled, sys.executable, "-m", "build", "--wheel", "--no-isolation")
        output_of(*build, "--outdir", str(context / "wheel"))
        shutil.copy(ROOT / "constraints.txt", context / "wheel")
        shutil.copytree(HERE / "apps", context / "apps", ignore=shutil.ignore_patterns("__pycache__"))
        for program in (context / "apps").glob("counted_*.py"):
            program.write_text(program.read_text().replace("tests.services.apps.counted", "counted"))
        with built(context, HERE / "image" / "Containerfile") as image:
            yield image


def test_the_image_is_for_a_numeric_user(image: BuiltImage) -> None:
    assert image.user.replace(":", "").isdecimal()
    assert image.command[0] == "gunicorn"  # neither a shell nor an init


@pytest.mark.parametrize("server", COMMANDS)
def test_the_server_is_process_1(server: str, image: BuiltImage, tmp_path: Path) -> None:
    way = "wrapper" if "wrapped" in server else "one line"
    port, log = free_port(), tmp_path / "log"
    command = [word.replace("PORT", str(port)) for word in COMMANDS[server]]
    runtime = run_container(image, command, log, [f"MATRIX_WAY={way}"])
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: request(f"{url}/health").status == 200, f"{server} as process 1", 120)
        (first,) = psutil.Process(runtime.pid).children()
        assert first.uids().effective == int(image.user.partition(":")[0])
        workers = until(lambda: three_workers(first), "three workers")
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


def three_workers(first: psutil.Process) -> list[psutil.Process]:
    """The workers, when there are three."""
    workers = [each for each in first.children() if "resource_tracker" not in " ".join(each.cmdline())]
    assert len(workers) == 3, workers
    return workers


def compare(url: str, total: int) -> None:
    """Send some requests more, and see all that were sent on every scrape."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: request(f"{url}/hit", timeout_s=240).status, range(SENT)))
    assert answers == [200] * SENT
    for _ in range(SCRAPES):
        samples = parse_samples(request(f"{url}/metrics", timeout_s=240).text)
        assert samples.total("http_requests_total", endpoint="/hit") == total
