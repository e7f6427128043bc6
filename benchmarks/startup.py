"""What the wrapper costs at start with otel_obs, beside the stock distribution with its exporter.

In CPU time: a start waits for nothing, so that on an idle machine this is the time that passes, and on
another one it is still the start's own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
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
        taken = _measure({"bare": (bare, {}), "ours": (ours, {}), "stock": (stock, STOCK)})
    ours_added, stock_added = _added(taken, "ours"), _added(taken, "stock")
    return [
        ("start-up, added to the bare wrapper / stock", ours_added / stock_added, 0.4),
        (
            "start-up under the wrapper / stock",
            statistics.median(taken["ours"]) / statistics.median(taken["stock"]),
            0.9,
        ),
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


def _measure(cases: dict[str, tuple[Path, dict[str, str]]]) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(ROUNDS + 1):
        for name, (binaries, settings) in cases.items():
            cpu_s = _start(binaries, settings)
            if number:  # the first compiles modules
                taken[name].append(cpu_s)
    return taken


def _added(taken: dict[str, list[float]], name: str) -> float:
    """What *name* takes more than the bare wrapper, start by start, as a machine's speed changes."""
    return statistics.median(each - bare for each, bare in zip(taken[name], taken["bare"], strict=True))


def _start(binaries: Path, settings: dict[str, str]) -> float:
    """Run a program that does nothing, under the wrapper; its CPU time in seconds."""
    command = [str(binaries / "opentelemetry-instrument"), str(binaries / "python"), "-c", "pass"]
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", **settings}
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in (1, 2)]
    pid = os.posix_spawn(command[0], command, env, file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: ended with status {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime
