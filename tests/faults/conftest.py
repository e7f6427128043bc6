"""What the fault suite shares: a place for run directories, which must be empty in the end; its long form."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.long import wants_full_length
from tests.support.waiting import until

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def is_long() -> bool:
    """Whether the long form of a test is wanted: `make faults-long`."""
    return wants_full_length()


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A directory for run directories, in shared memory where there is some. Anybody may write to it."""
    parent = SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else tmp_path
    path = Path(tempfile.mkdtemp(prefix="faults-", dir=parent))
    path.chmod(0o1777)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def clean_base(base: Path) -> Iterator[Path]:
    """The same, and nothing may be left in it when the test is through."""
    yield base
    until(lambda: not list(base.iterdir()), f"{base} left empty", 60.0)
