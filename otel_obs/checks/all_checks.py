"""Every check: a stable code, what it finds, why that hurts, and what to do about it.

A code is never given to something else, nor used again when its check is dropped. `docs/checks/` is generated
from this table.
"""

from __future__ import annotations

from typing import NamedTuple

from otel_obs.checks.answers_table import ANSWER_CHECKS
from otel_obs.checks.check import CheckRow
from otel_obs.checks.metrics_table import METRIC_CHECKS

__all__ = ["BY_CODE", "CHECKS", "CheckRow", "Finding"]

CHECKS = ANSWER_CHECKS + METRIC_CHECKS

BY_CODE = {check.code: check for check in CHECKS}


class Finding(NamedTuple):
    """One thing that is wrong: the code of the check, the metric or header concerned, and what was seen."""

    code: str
    subject: str
    what: str

    @property
    def check(self) -> CheckRow:
        """The row of the table."""
        return BY_CODE[self.code]
