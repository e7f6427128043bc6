"""What is built can be installed and works, and what the package index will show is whole."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.docs.story import ROOT

BASE = "https://github.com/otel-obs/otel-obs/blob/v"
RAW = "https://raw.githubusercontent.com/otel-obs/otel-obs/v"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.mark.timeout(600)
def test_a_clean_environment_counts_every_request(built: Path, tmp_path: Path) -> None:
    """By the pip that this Python brings, however old, with the constraints that are published."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True)
    python = tmp_path / "bin" / "python"
    wanted = f"otel-obs[flask] @ {next(built.glob('*.whl')).as_uri()}"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*pip, wanted, "gunicorn"], check=True)

    done = subprocess.run(
        [str(python), str(ROOT / "tests" / "release" / "smoke.py")], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "60 of 60 requests of 4 workers are counted\n"), done.stderr


def test_links_of_the_package_indexs_page_are_absolute_and_lead_to_files(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        metadata = message_from_bytes(wheel.read(name))
    text = metadata.get_payload()
    targets = re.findall(r"\]\(([^)\s]+)\)", str(text))

    assert [target for target in targets if not target.startswith("https://")] == []
    files = [
        re.sub(r"^[^/]*/|#.*$", "", t.removeprefix(BASE).removeprefix(RAW))
        for t in targets
        if t.startswith((BASE, RAW))
    ]
    assert len(files) > 10
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_metadata_says_what_it_is(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        metadata = message_from_bytes(wheel.read(name))

    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    urls = {line.split(",")[0] for line in metadata.get_all("Project-URL", [])}
    assert urls == {"Homepage", "Documentation", "Source", "Issues", "Changelog", "Security"}
    extras = {"flask", "fastapi", "otlp", "tracing", "cli", "dashboards", "all"}
    assert extras <= set(metadata.get_all("Provides-Extra", []))


def test_the_source_distribution_has_the_constraints(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}

    assert {"constraints.txt", "SECURITY.md", "CHANGELOG.md", "README.md", "LICENSE"} <= names
