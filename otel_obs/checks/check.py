"""What a row of the table of checks says."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["error", "warning"]


class Check(NamedTuple):
    """One row: `error` where numbers are lost or wrong, `warning` where they mislead or cost."""

    code: str
    level: Level
    title: str
    why: str
    remedy: str
