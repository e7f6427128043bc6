"""Every promtool and amtool that can be had on this machine, for tests that promise several versions."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@cache
def found(script: str, *arguments: str) -> Path | None:
    """What a script of `scripts/` has left on this machine; nothing is built or downloaded here."""
    done = subprocess.run(
        [SCRIPTS / script, "--find", *arguments], capture_output=True, text=True, timeout=30
    )
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def _parameters(name: str, places: dict[str, Path | None]) -> list[Any]:
    return [
        pytest.param(str(place / name), id=version)
        if place is not None and (place / name).exists()
        else pytest.param("", id=version, marks=pytest.mark.skip(reason=f"{name} {version} is not installed"))
        for version, place in places.items()
    ]


def _debian(command: str) -> Path | None:
    found = shutil.which(command)
    return Path(found).parent if found else None


def promtools() -> list[Any]:
    """Parameters: Debian 12's, the long-term 3.5, and a new one."""
    places = {
        "2.42": _debian("promtool"),
        "3.5": found("newer-debian", "promtool", "sid"),
        "3.16": found("prometheus3"),
    }
    return _parameters("promtool", places)


def amtools() -> list[Any]:
    """Parameters: Debian 12's, and a new one."""
    places = {"0.25": _debian("amtool"), "0.33": found("newer-debian", "prometheus-alertmanager", "sid")}
    return _parameters("amtool", places)
