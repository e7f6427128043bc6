"""What importing takes, and what a start under the wrapper adds to one without any distribution."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.comparison import CLIENT, NOTHING, OURS, STOCK, Figure, figure
from benchmarks.startup import ROOT, make_environment
from benchmarks.startup import STOCK as STOCK_SETTINGS

IMPORTS = {
    NOTHING: "pass",
    OURS: "import otel_obs; otel_obs.configure()",
    CLIENT: "import prometheus_client",
    STOCK: "from opentelemetry.sdk.metrics import MeterProvider; MeterProvider()",
}


def measure(quick: bool) -> list[Figure]:
    """Milliseconds of a whole process."""
    rounds = 3 if quick else 15
    figures = []
    taken: dict[str, list[float]] = {who: [] for who in IMPORTS}
    for number in range(rounds + 1):
        for who, program in IMPORTS.items():
            ms = _process([sys.executable, "-c", program], {})
            if number:  # the first compiles modules: ours are in a checkout, where nobody has yet
                taken[who].append(ms)
    figures += [
        figure("process that imports and sets up", who, "ms", values) for who, values in taken.items()
    ]
    if not quick:
        figures += _under_the_wrapper(rounds)
    return figures


def _under_the_wrapper(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        cases = {
            NOTHING: (make_environment(where / "bare", "opentelemetry-instrumentation", "flask"), {}),
            OURS: (make_environment(where / "ours", str(ROOT), "flask"), {}),
            STOCK: (
                make_environment(
                    where / "stock", "opentelemetry-distro", "opentelemetry-exporter-prometheus", "flask"
                ),
                STOCK_SETTINGS,
            ),
        }
        taken: dict[str, list[float]] = {who: [] for who in cases}
        for _ in range(rounds):
            for who, (programs, settings) in cases.items():
                command = [str(programs / "opentelemetry-instrument"), str(programs / "python"), "-c", "pass"]
                none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
                taken[who].append(_process(command, {**none, **settings}))
    return [
        figure("start under the wrapper, Flask installed", who, "ms", values) for who, values in taken.items()
    ]


def _process(command: list[str], settings: dict[str, str]) -> float:
    env = {**os.environ, **settings}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    started_s = time.perf_counter()
    subprocess.run(command, env=env, check=True, capture_output=True)
    return (time.perf_counter() - started_s) * 1e3
