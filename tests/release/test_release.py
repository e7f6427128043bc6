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

from scripts.release import ReleaseError, check_names, extras_of
from tests.docs.story import ROOT
from tests.release.promises import PROMISES

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


def test_metadata_is_of_a_version_that_uploaders_know(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("METADATA"))
        of_wheel = wheel.read(name).decode()
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        name = next(name for name in source.getnames() if name.count("/") == 1 and name.endswith("PKG-INFO"))
        file = source.extractfile(name)
        assert file is not None
        of_source = file.read().decode()

    assert of_wheel.startswith("Metadata-Version: 2.4\n")
    assert of_source.startswith("Metadata-Version: 2.4\n")


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
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROMISES) - {""}


def test_the_source_distribution_has_the_constraints(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        names = {name.split("/", 1)[1] for name in source.getnames() if "/" in name}

    assert {"constraints.txt", "SECURITY.md", "CHANGELOG.md", "README.md", "LICENSE"} <= names


def test_every_extra_of_the_wheel_is_tried(built: Path) -> None:
    assert set(extras_of(next(built.glob("*.whl")))) == set(PROMISES)


PURE, SOURCE = "otel_obs-0.2.0-py3-none-any.whl", "otel_obs-0.2.0.tar.gz"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([PURE, SOURCE], ""),
        ([PURE, SOURCE, "otel_obs-0.2.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"], ""),
        ([PURE, SOURCE, "otel_obs-0.2.0-cp311-cp311-macosx_11_0_arm64.whl"], ""),
        (
            [PURE, SOURCE, "otel_obs-0.2.0-cp311-cp311-linux_x86_64.whl"],
            "no index takes otel_obs-0.2.0-cp311-cp311-linux_x86_64.whl: they are for this machine alone",
        ),
        ([PURE], "dist/ has no file that ends with .tar.gz"),
        ([SOURCE], "dist/ has no file that ends with -none-any.whl"),
    ],
)
def test_only_what_an_index_takes_is_released(names: list[str], said: str) -> None:
    files = [Path(name) for name in names]
    if said:
        with pytest.raises(ReleaseError, match=f"^{re.escape(said)}$"):
            check_names(files)
    else:
        check_names(files)
