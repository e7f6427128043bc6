"""The shipped Dockerfile, really built and run: every request of four workers, with a read-only root."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.support import leftovers
from tests.support.classifier import image as picture
from tests.support.containers import built, run_container
from tests.support.ports import free_port
from tests.support.programs import ROOT
from tests.support.samples import parse_samples
from tests.support.waiting import until
from tests.support.web import request

SENT, SCRAPES, WORKERS = 80, 8, 4
SIZE_MB = 420
"""Of what the image adds to its base: scikit-learn, scipy and numpy are 250 MB of it."""


@pytest.mark.timeout(1500)
def test_metrics_show_every_request_of_four_workers(tmp_path: Path) -> None:
    with built(ROOT, ROOT / "deploy" / "Dockerfile") as image:
        assert image.config["Healthcheck"]["Test"][0] == "CMD"
        added = sum(
            path.lstat().st_size for top in ("venv", "service") for path in (image.root / top).rglob("*")
        )
        assert added / 1e6 < SIZE_MB
        port = free_port()
        command = [word.replace("5000", str(port)) for word in image.command]
        log = tmp_path / "log"
        runtime = run_container(image, command, log)
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: request(f"{url}/health").status == 200, "the container", 120)
            (first,) = psutil.Process(runtime.pid).children()
            assert first.uids().real == first.uids().effective == 65532
            assert (
                len([each for each in first.children() if "gunicorn" in " ".join(each.cmdline())]) == WORKERS
            )
            with ThreadPoolExecutor(8) as pool:
                send = [
                    pool.submit(request, f"{url}/predict", json_body={"image": picture(n)})
                    for n in range(SENT)
                ]
                assert [each.result().status for each in send] == [200] * SENT
            for _ in range(SCRAPES):
                samples = parse_samples(request(f"{url}/metrics").text)
                assert samples.total("http_requests_total", endpoint="/predict", status="200") == SENT
            first.send_signal(signal.SIGTERM)
            runtime.wait(60)
        finally:
            leftovers.end(runtime.pid)
            runtime.wait()
            print(log.read_text())
    text = log.read_text()
    assert "Permission denied" not in text
    assert "Read-only" not in text
    assert "Traceback" not in text
