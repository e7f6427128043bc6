"""`otel-obs demo` from an installation alone: a shop with workers and traffic, and its live page."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.processes import clean_env, tool
from tests.support.waiting import until
from tests.support.web import request


@pytest.mark.timeout(400)
def test_the_demonstration_serves_a_live_page_of_two_workers_and_leaves_nothing(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [tool("otel-obs"), "demo", "--json", "--seconds", "3600"],
            stdout=file,
            env=clean_env(),
            cwd=tmp_path,
        )
    try:
        until(lambda: output.read_text().endswith("}\n"), "the addresses", 150)
        told = json.loads(output.read_text())
        until(lambda: _bought(told["metrics"]) >= 20, "requests that are counted", 150)

        assert told["workers"] == 2
        assert "<html" in request(told["address"]).text
        assert "http_requests_total" in request(told["address"] + "scrape/0").text
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    until(lambda: not any(each.is_running() for each in family), "the end of the service")


def _bought(url: str) -> float:
    found = re.findall(r'^http_requests_total\{endpoint="/items.*\} (\S+)$', request(url).text, re.M)
    return sum(map(float, found))


@pytest.mark.parametrize(("module", "package"), [("gunicorn", "gunicorn"), ("flask", "Flask")])
def test_without_what_it_needs_it_says_what_to_install(module: str, package: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{module!r}] = None\n")

    done = subprocess.run(
        [tool("otel-obs"), "demo"],
        capture_output=True,
        text=True,
        env=clean_env({"PYTHONPATH": str(tmp_path)}),
        timeout=240,
    )

    said = f"otel-obs: otel-obs demo needs {package}; install it with: pip install 'otel-obs[demo]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
