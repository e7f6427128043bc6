from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def base() -> Iterator[Path]:
    """Where the numbers are."""
    path = Path(tempfile.mkdtemp(prefix="applications-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
