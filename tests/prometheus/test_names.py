"""The table of docs/migrate.md has every public name of `prometheus_client`, and what it says is true."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import prometheus_client
import pytest

from otel_obs import prometheus
from tests.docs.story import ROOT

_ROW = re.compile(r"^\| `(\w+)` \| (same|different|not carried)(?:: \S.*)? \|$", re.MULTILINE)
NAMES = dict(_ROW.findall((ROOT / "docs" / "migrate.md").read_text()))
SUBMODULES = {module.name for module in pkgutil.iter_modules(prometheus_client.__path__)}
PUBLIC = {name for name in dir(prometheus_client) if not name.startswith("_")} | SUBMODULES


def test_every_name_is_there() -> None:
    newer = NAMES.keys() - PUBLIC  # the document speaks of the newest version
    assert sorted(PUBLIC - NAMES.keys()) == []
    assert newer <= {
        "CONTENT_TYPE_PLAIN_0_0_4",
        "CONTENT_TYPE_PLAIN_1_0_0",
        "aiohttp",
        "django",
        "validation",
    }


@pytest.mark.parametrize("name", sorted(NAMES.keys() & PUBLIC))
def test_a_name_is_what_the_document_says(name: str) -> None:
    if NAMES[name] == "not carried":
        with pytest.raises(ImportError):
            _find(prometheus.__name__, name)
    else:
        is_theirs = _find(prometheus.__name__, name) is _find(prometheus_client.__name__, name)
        assert is_theirs is (NAMES[name] == "same")


@pytest.mark.parametrize("module", ["openmetrics.exposition", "openmetrics.parser", "bridge.graphite"])
def test_modules_within_modules_are_the_same(module: str) -> None:
    assert _find(prometheus.__name__, module) is _find(prometheus_client.__name__, module)


@pytest.mark.parametrize(
    "module", ["core", "exposition", "registry", "metrics", "context_managers", "multiprocess"]
)
def test_a_module_of_ours_has_what_theirs_exports(module: str) -> None:
    module_name = f"{prometheus_client.__name__}.{module}"
    theirs, ours = importlib.import_module(module_name), _find(prometheus.__name__, module)
    exported = getattr(theirs, "__all__", None) or [
        name
        for name, value in vars(theirs).items()
        if inspect.isclass(value) and value.__module__ == module_name and not name.startswith("_")
    ]
    assert [name for name in exported if not hasattr(ours, name)] == []


def _find(package: str, name: str) -> object:
    """What `from package import name` gives."""
    if name in SUBMODULES or "." in name:
        return importlib.import_module(f"{package}.{name}")
    try:
        return getattr(importlib.import_module(package), name)
    except AttributeError as error:
        raise ImportError(name) from error
