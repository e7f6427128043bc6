"""The fields of a row in the table of checks."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]


class CheckRow(NamedTuple):
    """One row: `error` where numbers are lost or wrong, `warning` where they mislead or cost."""

    code: str
    level: Severity
    title: str
    why: str
    remedy: str
