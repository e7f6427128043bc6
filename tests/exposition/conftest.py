"""A warning is logged once a process; every test is a process of its own here."""

from __future__ import annotations

import sys

import pytest

import otel_obs.exposition.plan  # noqa: F401
from otel_obs.host.once import LogOnce


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["otel_obs.exposition.plan"], "once", LogOnce())
