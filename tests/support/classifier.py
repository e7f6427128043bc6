"""The image classifier of the examples, as a real server for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Service, tool

DIRECTORY = Path(__file__).resolve().parents[2] / "examples" / "aiclassifier"
BLANK = [[0] * 8 for _ in range(8)]


def settings() -> dict[str, str]:
    """What the example's `service.env` sets."""
    return dict(line.split("=", 1) for line in (DIRECTORY / "service.env").read_text().splitlines())


def image(number: int) -> list[list[int]]:
    """An image that no other *number* below 256 gives."""
    rows = [list(row) for row in BLANK]
    rows[0][0], rows[0][1] = number % 16, number // 16
    return rows


def classifier(log_file: Path, workers: int = 4, env: Mapping[str, str] | None = None) -> Service:
    """The classifier as its README starts it; ready when /metrics answers, which is not counted."""
    return Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        "-w",
        str(workers),
        "-b",
        "127.0.0.1:{port}",
        "app:app",
        cwd=DIRECTORY,
        env={**settings(), **(env or {})},
        log_file=log_file,
        ready_path="/metrics",
    )
