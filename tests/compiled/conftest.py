"""The compiled fast paths, in use; where they are not built, there is nothing to test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import otel_obs.sdk  # noqa: F401  it is what offers them
from otel_obs import compiled


@pytest.fixture(autouse=True)
def in_use() -> Iterator[None]:
    if compiled.recording is None:
        pytest.skip(f"{compiled.reason}; make compiled")
    compiled.choose(True)
    yield
    compiled.choose(compiled.is_wanted_by_environment())
