"""Pages that are made from tables are as the tables say."""

from __future__ import annotations

import subprocess
import sys

from tests.docs.story import ROOT


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
