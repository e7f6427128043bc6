"""Run every group of figures, print them, and keep them as JSON.

Usage: python -m benchmarks.comparison [--quick] [--out FILE] [GROUP ...]

About a quarter of an hour on two idle processors, two minutes with `--quick`; a group that takes longer than
twenty is ended, and the run has failed. Figures of groups that are not run are kept as they are in FILE.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

GROUPS = ("recording", "summary", "growth", "memory", "starting", "requests", "scrape", "throughput")
GROUP_S = 1200
CHILD = """
import importlib, json, sys
print(json.dumps(importlib.import_module("benchmarks.comparison." + sys.argv[1]).measure(bool(sys.argv[2]))))
"""
PACKAGES = (
    *("opentelemetry-sdk", "opentelemetry-instrumentation-flask", "opentelemetry-instrumentation-fastapi"),
    *(
        "prometheus-client",
        "prometheus-flask-exporter",
        "prometheus-fastapi-instrumentator",
        "starlette-exporter",
    ),
    *("flask", "fastapi", "starlette", "gunicorn", "uvicorn", "granian"),
)
RESULTS = Path(__file__).resolve().parents[1] / "results.json"


def run(group: str, quick: bool) -> list[list[Any]]:
    """The figures of a group, from a process of its own.

    Raises:
        RuntimeError: It failed, or took too long.
    """
    command = [sys.executable, "-c", CHILD, group, "quick" if quick else ""]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PROMETHEUS_"))}
    # A session of its own, so that the servers that a group has started end with it.
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        out, err = process.communicate(timeout=GROUP_S)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{group} took more than {GROUP_S} s") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{group} failed:\n{err.strip()}")
    figures: list[list[Any]] = json.loads(out.splitlines()[-1])
    return figures


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {name: version(name) for name in PACKAGES},
    }


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 1 if a group failed."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.comparison", description="Figures of otel-obs and its peers."
    )
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"which of {', '.join(GROUPS)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and sizes: to see that it works")
    parser.add_argument(
        "--out", type=Path, help=f"where to write; {RESULTS.name} beside the benchmarks, if not quick"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}; expected some of {', '.join(GROUPS)}")
    out = options.out or (None if options.quick else RESULTS)
    kept = json.loads(out.read_text())["groups"] if out is not None and out.exists() else {}
    described, failed = machine(), False
    for group in options.groups or GROUPS:
        try:
            kept[group] = run(group, options.quick)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failed = True
            continue
        print(group)
        for what, who, unit, median, low, high, runs in kept[group]:
            print(
                f"  {what:<56}{who:<36}{median:>12,.4g}  {low:,.4g} to {high:,.4g} {unit}, {runs} runs",
                flush=True,
            )
    if out is not None:
        when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
        written = {"measured": when, "quick": options.quick, "machine": described, "groups": kept}
        out.write_text(json.dumps(written, indent=1) + "\n")
        print(f"wrote {out}; `make docs` writes the tables and pictures from it")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
