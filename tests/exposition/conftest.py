"""A warning is logged once a process; every test is a process of its own here."""

from __future__ import annotations

import pytest

from otel_obs.exposition.plan import warn_once


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    warn_once.cache_clear()
