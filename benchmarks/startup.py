"""What the wrapper costs at start with otel_obs, beside the stock distribution with its exporter."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROUNDS = 5 if os.environ.get("OTEL_OBS_BENCH_QUICK") else 15
STOCK = {"OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": "0"}


def run() -> list[tuple[str, float, float]]:
    """Measure; each row is what, the ratio of ours to theirs, and the goal."""
    with tempfile.TemporaryDirectory() as directory:
        bare = make_environment(Path(directory, "bare"), "opentelemetry-instrumentation", "flask")
        ours = make_environment(Path(directory, "ours"), str(ROOT), "flask")
        stock = make_environment(
            Path(directory, "stock"), "opentelemetry-distro", "opentelemetry-exporter-prometheus", "flask"
        )
        seconds = _medians({"bare": (bare, {}), "ours": (ours, {}), "stock": (stock, STOCK)})
    added = seconds["ours"] - seconds["bare"]
    return [
        ("start-up, added to the bare wrapper / stock", added / (seconds["stock"] - seconds["bare"]), 0.4),
        ("start-up under the wrapper / stock", seconds["ours"] / seconds["stock"], 0.9),
    ]


def make_environment(directory: Path, *packages: str) -> Path:
    """A virtual environment with *packages*, of the versions that the tests use."""
    subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    pip = [
        str(directory / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), *packages], check=True)
    return directory / "bin"


def _medians(cases: dict[str, tuple[Path, dict[str, str]]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (binaries, settings) in cases.items():
            started_s = time.perf_counter()
            subprocess.run(
                [str(binaries / "opentelemetry-instrument"), str(binaries / "python"), "-c", "pass"],
                env={**os.environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", **settings},
                check=True,
                capture_output=True,
            )
            taken[name].append(time.perf_counter() - started_s)
    return {name: statistics.median(times) for name, times in taken.items()}
