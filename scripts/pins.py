"""Write constraints.txt: what a fresh environment holds, exact, with markers where Pythons differ.

Usage: python scripts/pins.py PYTHON [PYTHON ...]

Each PYTHON is an interpreter to make a fresh environment with; each must be another minor version. Where
they do not agree on a package, an older Python's version gets a marker and the newest Python's version is
for it and all later ones.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Exact versions that the project is tested with. Written by `make pins`.\n"

Minor = tuple[int, int]
Pins = Mapping[str, str]


def run(*command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def freeze(python: str) -> tuple[Minor, Pins]:
    """Install everything with *python* in a fresh environment and return its minor version and packages."""
    with tempfile.TemporaryDirectory() as directory:
        run(python, "-m", "venv", directory)
        inside = f"{directory}/bin/python"
        run(inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip>=25.1")
        groups = [
            part for name in ("dev", "mutants") for part in ("--group", f"{ROOT}/pyproject.toml:{name}")
        ]
        requirements = ["--editable", f"{ROOT}[all]", *groups]
        run(inside, "-m", "pip", "install", "--quiet", *requirements)
        major, minor = run(inside, "-c", "import sys; print(*sys.version_info[:2])").split()
        lines = run(inside, "-m", "pip", "freeze", "--exclude-editable").splitlines()
    return (int(major), int(minor)), dict(line.split("==") for line in lines if "==" in line)


def pins_of(name: str, frozen: Sequence[tuple[Minor, Pins]]) -> list[str]:
    """The lines for one package; *frozen* is ascending by Python version."""
    found = [(minor, pins[name]) for minor, pins in frozen if name in pins]
    groups: list[tuple[str, list[Minor]]] = []
    for minor, version in found:
        if not groups or groups[-1][0] != version:
            groups.append((version, []))
        groups[-1][1].append(minor)
    if len(groups) == 1:
        return [f"{name}=={groups[0][0]}"]
    return [f"{name}=={version} ; {marker(i, groups)}" for i, (version, _) in enumerate(groups)]


def marker(index: int, groups: Sequence[tuple[str, Sequence[Minor]]]) -> str:
    """The environment marker of one of several versions of a package."""
    bounds = []
    if index > 0:
        bounds.append("python_version >= '{}.{}'".format(*groups[index][1][0]))
    if index < len(groups) - 1:
        bounds.append("python_version < '{}.{}'".format(*groups[index + 1][1][0]))
    return " and ".join(bounds)


def main(pythons: Sequence[str]) -> None:
    """Freeze with every Python and write the file."""
    frozen = sorted((freeze(python) for python in pythons), key=lambda pair: pair[0])
    names = sorted({name for _, pins in frozen for name in pins}, key=str.lower)
    lines = [line for name in names for line in pins_of(name, frozen)]
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
