"""What the application's log says was counted, to compare with what a scrape says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import Service, tool
from tests.support.programs import ROOT
from tests.support.samples import Samples

WRAPPER = tool("opentelemetry-instrument")
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}")
UVICORN = (tool("uvicorn"), "--port", "{port}", "--log-level", "warning")
WSGI, ASGI = "tests.faults.apps.hurt:measured", "tests.faults.apps.hurt:measured_asgi"


class Entry(NamedTuple):
    """One process's log: how many counts were begun, and how many were completed before anybody was told."""

    begun: int
    ended: int


def read_ledger(directory: Path) -> dict[str, Entry]:
    """The logs of all processes that ever were."""
    logs = {path.name: path.read_bytes() for path in directory.iterdir()}
    return {life: Entry(log.count(b"b"), log.count(b"e")) for life, log in logs.items()}


def assert_exact(samples: Samples, directory: Path) -> float:
    """Compare: what a process has completed is counted, and nothing that it has not begun.

    Only the one request that a process was killed in may or may not be counted: the log does not say.

    Returns:
        The total.
    """
    ledger = read_ledger(directory)
    counted = {
        labels["life"]: samples.value("hits_total", **labels) for labels in samples.labels("hits_total")
    }
    off = {
        life: (counted.get(life, 0), entry)
        for life, entry in ledger.items()
        if not entry.ended <= counted.get(life, 0) <= entry.begun
    }
    assert off == {}
    assert counted.keys() <= ledger.keys()
    return sum(counted.values())


def hurt(
    *command: str,
    base: Path,
    ledger: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Service:
    """The application under a server."""
    ledger.mkdir(exist_ok=True)
    ledger.chmod(0o777)
    settings = {"OTEL_OBS_RUN_DIR": str(base), "FAULT_LOG": str(ledger), "PYTHONPATH": str(ROOT)}
    return Service(*command, cwd=cwd, env={**settings, **(env or {})}, log_file=log, ready_path="/health")
