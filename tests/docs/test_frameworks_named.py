"""Every framework that is known stands on the pages by which a reader finds out what they have."""

from __future__ import annotations

import re

import pytest

from otel_obs.frameworks.known import FRAMEWORKS, UNMEASURED
from tests.docs.story import ROOT

NAMES = sorted({each.name for each in FRAMEWORKS} | {name.lower() for name, _ in UNMEASURED})


@pytest.mark.parametrize("page", ["learn/others.md", "troubleshooting.md"])
def test_the_command_that_shows_a_framework_shows_each(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    found = re.search(r"pip freeze \| grep -iE '\^\(([^)]+)\)==", text)

    assert found is not None
    assert set(NAMES) - set(found[1].split("|")) == set()


def test_the_table_of_frameworks_has_each() -> None:
    rows = [
        line.lower()
        for line in (ROOT / "docs" / "learn" / "others.md").read_text().splitlines()
        if line.startswith("|")
    ]

    assert [name for name in NAMES if not any(name in row for row in rows)] == []


@pytest.mark.parametrize("name", [name for name, _ in UNMEASURED])
def test_the_table_says_what_is_not_measured(name: str) -> None:
    rows = (ROOT / "docs" / "learn" / "others.md").read_text().splitlines()

    assert any(name in row and "not measured" in row for row in rows)
