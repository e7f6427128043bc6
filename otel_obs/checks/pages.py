"""Generates `docs/checks/`: a page for each code, and an index."""

from __future__ import annotations

from otel_obs.checks.all_checks import CHECKS, CheckRow

INDEX = """\
# What `otel-obs check` finds

`otel-obs check URL` or `FILE` looks at any page of metrics. An error loses numbers or makes them wrong; a
warning misleads, or costs. `--ignore OBS023` leaves a code out. A code never changes its meaning.

| code | | what |
|---|---|---|
"""


def check_pages() -> dict[str, str]:
    """The text of every page, by its name."""
    rows = "".join(f"| [{c.code}]({c.code}.md) | {c.level} | {c.title} |\n" for c in CHECKS)
    return {"index.md": INDEX + rows, **{f"{check.code}.md": _page(check) for check in CHECKS}}


def _page(check: CheckRow) -> str:
    return (
        f"# {check.code}: {check.title}\n\nLevel: {check.level}\n\n"
        f"## Why it hurts\n\n{check.why}\n\n"
        f"## What to do\n\n{check.remedy}\n\n"
        f"## Where it is meant\n\n`otel-obs check URL --ignore {check.code}` leaves it out.\n"
    )
