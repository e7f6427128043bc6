"""`prometheus_client`'s own tests, with the import changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from otel_obs import prometheus
from tests.docs.story import ROOT
from tests.support.processes import clean_env

DOCUMENT = (ROOT / "docs" / "migrate.md").read_text()
DOWNLOAD_S = 90
RUN_S = 240

_TEST = re.compile(r"`(test_\w+\.py::\w+::\w+)`")
_IMPORT = re.compile(
    r"^(\s*(?:from|import) )prometheus_client((?:\.\w+)*)( import \w+(?:, \w+)*$)?", re.MULTILINE
)

# What a test that has failed still holds would be in the next one's exposition.
_FORGET = """
import gc, sys

def pytest_runtest_setup(item):
    sys.last_type = sys.last_value = sys.last_traceback = sys.last_exc = None
    gc.collect()
"""


def version() -> str:
    """The version of `prometheus_client` that the document speaks of."""
    found = re.search(r"^Version (\S+) brings", DOCUMENT, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests of that version, with the import changed."""
    directory = tmp_path_factory.mktemp("suite")
    command = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(directory),
    ]
    try:
        subprocess.run(
            [sys.executable, *command, f"prometheus_client=={version()}"],
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"the source of prometheus_client cannot be had: {error}")
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(directory)
    tests = directory / archive.name.removesuffix(".tar.gz") / "tests"
    for test in tests.glob("*.py"):
        test.write_text(_IMPORT.sub(_change, test.read_text()))
    (tests / "conftest.py").write_text(_FORGET)
    (tests / "pytest.ini").write_text("[pytest]\n")
    return tests


def _change(found: re.Match[str]) -> str:
    """Change an import of what is carried; the rest is asked of `prometheus_client` as before."""
    verb, submodule, names = found[1], found[2], found[3] or ""
    wanted = [submodule.removeprefix(".")] if submodule else re.findall(r"\w+", names)[1:]
    if any(_is_missing(name) for name in wanted):
        return found[0]
    return f"{verb}otel_obs.prometheus{submodule}{names}"


def _is_missing(name: str) -> bool:
    return f"| `{name}` | not carried" in DOCUMENT


@pytest.mark.timeout(DOWNLOAD_S + RUN_S)
def test_it_passes_but_for_what_the_document_lists(suite: Path) -> None:
    if metadata.version("prometheus_client") != version():
        pytest.skip(f"docs/migrate.md speaks of version {version()}")
    report = suite / "report.xml"
    left_out = re.search(r"^`(\S+)` is not run", DOCUMENT, re.MULTILINE)
    assert left_out is not None
    options = ["-q", "-p", "no:cacheprovider", f"--junit-xml={report}", f"--deselect={left_out[1]}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "."],
        cwd=suite,
        env=clean_env({"PYTHONPATH": str(Path(prometheus.__file__).parents[2])}),
        capture_output=True,
        text=True,
        timeout=RUN_S,
    )
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = {
        "{}.py::{}::{}".format(*case.attrib["classname"].split("."), case.attrib["name"])
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    assert failed == listed(), done.stdout[-3000:]
    assert len(cases) + 1 == count()


def listed() -> set[str]:
    """The tests that the document says fail."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `test_")]
    return {name for row in rows for name in _TEST.findall(row)}


def count() -> int:
    """How many tests there are, as the document says."""
    found = re.search(r"brings (\d+) tests", DOCUMENT)
    assert found is not None
    return int(found[1])
