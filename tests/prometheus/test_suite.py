"""`prometheus_client`'s own tests: with the import changed, and unchanged with ours standing in its place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from tests.docs.story import ROOT
from tests.support.processes import clean_env

DOCUMENT = (ROOT / "docs" / "migrate.md").read_text()
DOWNLOAD_S = 90
RUN_S = 600  # a tenth of it where the machine is idle

_TEST = re.compile(r"`(test_\w+\.py::\w+::\w+)`")
_IMPORT = re.compile(
    r"^(\s*(?:from|import) )prometheus_client((?:\.\w+)*)( import \w+(?:, \w+)*$)?", re.MULTILINE
)

# What a test that has failed still holds would be in the next one's exposition.
_FORGET = """
import gc, sys

def pytest_collection_finish(session):
    gc.freeze()  # what there is by now stays: to look through it for each test takes longer than the tests

def pytest_runtest_setup(item):
    sys.last_type = sys.last_value = sys.last_traceback = sys.last_exc = None
    gc.collect()
"""


def version() -> str:
    """The version of `prometheus_client` that the document speaks of."""
    found = re.search(r"^Version (\S+) brings", DOCUMENT, re.MULTILINE)
    assert found is not None
    return found[1]


# A page that took long is made on a thread the next time, which a test of theirs does not wait for.
_AT_ONCE = """
import otel_obs.prometheus.asgi
otel_obs.prometheus.asgi.LONG_S = float("inf")
"""

_STAND_IN = """
import otel_obs.prometheus
otel_obs.prometheus.stand_in()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests of that version, as they are."""
    return suite_of(version(), tmp_path_factory.mktemp("suite"))


def suite_of(chosen: str, directory: Path) -> Path:
    """The tests of a version, below *directory*."""
    pip(
        "download",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(directory),
        f"prometheus_client=={chosen}",
    )
    (archive,) = directory.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(directory)
    return directory / archive.name.removesuffix(".tar.gz") / "tests"


def pip(*command: str) -> None:
    """Run pip; the test is skipped where there is no package index."""
    options = ["--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run(
            [sys.executable, "-m", "pip", *command, *options],
            check=True,
            capture_output=True,
            timeout=DOWNLOAD_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"prometheus_client cannot be had: {error}")


class Suite:
    """The tests, in a directory of their own, each begun with what others held forgotten."""

    def __init__(
        self,
        source: Path,
        directory: Path,
        begin: str = "",
        has_changed_import: bool = False,
        before: Path | None = None,
    ) -> None:
        self._directory = directory / "tests"
        shutil.copytree(source, self._directory)
        if has_changed_import:
            for test in self._directory.glob("*.py"):
                test.write_text(_IMPORT.sub(_change, test.read_text()))
        (self._directory / "conftest.py").write_text(_FORGET + begin)
        (self._directory / "pytest.ini").write_text("[pytest]\n")
        left_out = re.search(r"^`(\S+)` is not run", DOCUMENT, re.MULTILINE)
        assert left_out is not None
        options = ["-q", "-p", "no:cacheprovider", "--junit-xml=report.xml", f"--deselect={left_out[1]}"]
        self._log = (directory / "log").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, "."],
            cwd=self._directory,
            env=clean_env({"PYTHONPATH": os.pathsep.join(map(str, [*([before] if before else []), ROOT]))}),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Suite:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def outcomes(self) -> dict[str, bool]:
        """Of each test whether it passes."""
        self._process.wait(RUN_S)
        cases = ElementTree.parse(self._directory / "report.xml").iter("testcase")
        return {_name_of(case): case.find("failure") is None and case.find("error") is None for case in cases}

    @property
    def log(self) -> str:
        """The end of what pytest has said."""
        self._log.seek(0)
        return self._log.read()[-3000:]


def _name_of(case: Element) -> str:
    module, _, kind = case.attrib["classname"].partition(".")
    return f"{module}.py::{kind}::{case.attrib['name']}"


def _change(found: re.Match[str]) -> str:
    """Change an import of what is carried; the rest is asked of `prometheus_client` as before."""
    verb, submodule, names = found[1], found[2], found[3] or ""
    wanted = [submodule.removeprefix(".")] if submodule else re.findall(r"\w+", names)[1:]
    if any(_is_missing(name) for name in wanted):
        return found[0]
    return f"{verb}otel_obs.prometheus{submodule}{names}"


def _is_missing(name: str) -> bool:
    return f"| `{name}` | not carried" in DOCUMENT


@pytest.fixture
def _same_version() -> None:
    if metadata.version("prometheus_client") != version():
        pytest.skip(f"docs/migrate.md speaks of version {version()}")


@pytest.mark.usefixtures("_same_version")
@pytest.mark.timeout(DOWNLOAD_S + RUN_S)
def test_it_passes_but_for_what_the_document_lists(source: Path, tmp_path: Path) -> None:
    with Suite(source, tmp_path, _AT_ONCE, has_changed_import=True) as suite:
        outcomes = suite.outcomes()
        assert {name for name, has_passed in outcomes.items() if not has_passed} == listed(), suite.log
    assert len(outcomes) + 1 == count()


@pytest.mark.usefixtures("_same_version")
@pytest.mark.timeout(DOWNLOAD_S + 2 * RUN_S)
def test_unchanged_it_passes_where_it_does_without_us(source: Path, tmp_path: Path) -> None:
    with (
        Suite(source, tmp_path / "alone") as alone,
        Suite(source, tmp_path / "with_us", _STAND_IN) as with_us,
    ):
        assert worse(alone, with_us) == set(), with_us.log


@pytest.mark.timeout(2 * DOWNLOAD_S + 2 * RUN_S)
@pytest.mark.parametrize("chosen", os.environ.get("CLIENTS", "").split())
def test_another_version_passes_where_it_does_without_us(chosen: str, tmp_path: Path) -> None:
    package = tmp_path / "package"
    pip("install", "--no-deps", "--target", str(package), f"prometheus_client=={chosen}")
    (tmp_path / "source").mkdir()
    source = suite_of(chosen, tmp_path / "source")
    with (
        Suite(source, tmp_path / "alone", before=package) as alone,
        Suite(source, tmp_path / "with_us", _STAND_IN, before=package) as with_us,
    ):
        assert worse(alone, with_us) == set(), with_us.log


def worse(alone: Suite, with_us: Suite) -> set[str]:
    """The tests that fail only with ours in the client's place."""
    before, after = alone.outcomes(), with_us.outcomes()
    assert before.keys() == after.keys(), alone.log + with_us.log
    return {name for name, has_passed in after.items() if before[name] and not has_passed}


def listed() -> set[str]:
    """The tests that the document says fail."""
    rows = [line for line in DOCUMENT.splitlines() if line.startswith("| `test_")]
    return {name for row in rows for name in _TEST.findall(row)}


def count() -> int:
    """How many tests there are, as the document says."""
    found = re.search(r"brings (\d+) tests", DOCUMENT)
    assert found is not None
    return int(found[1])
