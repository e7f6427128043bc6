"""Which tests take long: `make test` leaves them out, and `make test-long` runs them and nothing else.

They build releases and sites, start whole services under every server, or draw pages in a browser.
"""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent

LONG = (
    "applications",
    "benchmarks",
    "checks/test_peers.py",
    "collector",
    "demonstration",
    "docs",
    "examples",
    "exposition/test_lag.py",
    "exposition/test_openmetrics2_scraped.py",
    "faults/test_kills.py",
    "faults/test_lives.py",
    "faults/test_places.py",
    "faults/test_servers.py",
    "faults/test_steps.py",
    "frameworks/test_frameworks.py",
    "http/test_bounded.py",
    "http/test_names.py",
    "http/test_servers.py",
    "live/test_page.py",
    "operations",
    "ops/test_dashboards.py",
    "ops/test_docker.py",
    "ops/test_drawing.py",
    "ops/test_fired.py",
    "ops/test_stack.py",
    "prometheus/test_migrated.py",
    "prometheus/test_packages.py",
    "prometheus/test_suite.py",
    "release",
    "services",
    "test_production.py",
    "test_prometheus_scrape.py",
    "test_ways_in.py",
    "test_ways_in_beside.py",
    "testing/test_plugin.py",
    "tracing/test_examples.py",
    "tracing/test_requests.py",
)

BEGUN_FIRST = (
    "release",
    "operations/test_shipped_image.py",
    "docs/test_snippets.py",
    "services",
    "examples",
    "collector",
    "ops",
)
"""Of these, single files take minutes: begun last, one of them would run alone at the end."""


def is_long(module: Path) -> bool:
    """Whether the tests of this module take long."""
    return not _names(module).isdisjoint(LONG)


def place_in_order(module: Path) -> tuple[int, bool]:
    """What to sort modules by, so that several processes end at about the same time."""
    names = _names(module)
    first = (number for number, name in enumerate(BEGUN_FIRST) if name in names)
    return next(first, len(BEGUN_FIRST)), not is_long(module)


def _names(module: Path) -> set[str]:
    """The module and the folders that it is in, below the tests."""
    within = module.relative_to(TESTS)
    return {within.as_posix(), *(folder.as_posix() for folder in within.parents)}


def wants_full_length() -> bool:
    """Whether storms and noise are wanted at their full length: `make faults-long`."""
    return os.environ.get("FAULTS") == "long"
