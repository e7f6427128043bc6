"""These take minutes: `make operations` runs them."""

from __future__ import annotations

import os

import pytest

IS_WANTED = os.environ.get("OPERATIONS", "") not in ("", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all of this directory unless it is asked for."""
    for item in items:
        if "tests/operations/" in item.path.as_posix() and not IS_WANTED:
            item.add_marker(pytest.mark.skip(reason="`make operations` runs it"))
