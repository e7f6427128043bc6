"""Every test starts without telemetry settings from outside, and skips where its real server is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.long import is_long, place_in_order
from tests.support.processes import SCRUBBED
from tests.support.prometheus import BINARY, MISSING


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(SCRUBBED)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_set_up() -> None:
    """A file's tests do not go on with what those of another file in the same process have left."""
    setup = sys.modules.get("otel_obs.assembly.setup")
    if setup is not None and setup.Running.pipeline is not None:
        import otel_obs

        otel_obs.shutdown()


@pytest.fixture
def service_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """otel_obs as in a new process: nothing is set up, and nobody's metrics are in the client's registry."""
    import otel_obs
    from tests.support.registries import nobodys_registry

    monkeypatch.setenv("OTEL_OBS_RUN_DIR", str(tmp_path))
    otel_obs.shutdown()
    with nobodys_registry():
        yield
        otel_obs.shutdown()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "prometheus: needs a real Prometheus server")
    config.addinivalue_line("markers", "long: is in `make test-long`, and not in `make test`")


@pytest.hookimpl(tryfirst=True)  # `-m` deselects by what is marked here
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_long(item.path):
            item.add_marker(pytest.mark.long)
    items.sort(key=lambda item: place_in_order(item.path))
    if BINARY is None:
        for item in items:
            if item.get_closest_marker("prometheus"):
                item.add_marker(pytest.mark.skip(reason=MISSING))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Lone surrogates that a test has logged cannot go from one of pytest's processes to another."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report
