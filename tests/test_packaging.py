"""What is built and what is pinned."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(directory), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(directory.glob("*.whl"))


def test_the_wheel_holds_the_package_its_types_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "otel_obs").rglob("*.py")}

    assert {name for name in names if name.endswith(".py")} == sources
    assert "otel_obs/py.typed" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"otel_obs"}


def test_the_wrapper_finds_every_entry_point_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    declared = configparser.ConfigParser()
    declared.read(next(tmp_path.glob("*.dist-info/entry_points.txt")))
    targets = [target for section in declared.values() for target in section.values()]
    load = "import pkgutil, sys; [pkgutil.resolve_name(target) for target in sys.argv[1:]]"

    done = subprocess.run(
        [sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-c", load, *targets],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert {"opentelemetry_distro", "opentelemetry_configurator"} <= set(declared)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_pin_is_exact_and_names_no_address() -> None:
    pin = re.compile(
        r"[\w.-]+==[\w.!+]+( ; python_version (<|>=) '3\.\d+'( and python_version < '3\.\d+')?)?"
    )
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]

    assert [line for line in lines if not pin.fullmatch(line)] == []
