"""Objectives that a team states, such as `availability=99.9` and `latency=95%<500ms`, and their budgets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.ops.service_facts import MonitoredService

EXPECTED = "write it as availability=99.9 or latency=95%<500ms"
REQUESTS = "http_requests_total"
DURATION = "http_request_duration_seconds"

_LATENCY = re.compile(r"(?P<target>[\d.]+)%?<(?P<bound>[\d.]+)(?P<unit>ms|s)")
_LOWEST, _HIGHEST = Decimal(50), Decimal(100)


class Window(NamedTuple):
    """One pair of windows of an alert on the burn rate.

    Attributes:
        long: The window over which the budget must have burnt.
        short: The window over which it must still burn, so that the alert ends soon after the fault.
        factor: How many times faster than allowed the budget burns.
        budget_percent: The part of the budget of 30 days that is used when the alert fires.
    """

    long: str
    short: str
    factor: Decimal
    budget_percent: int


PAGE = (Window("1h", "5m", Decimal("14.4"), 2), Window("6h", "30m", Decimal(6), 5))
TICKET = (Window("1d", "2h", Decimal(3), 10), Window("3d", "6h", Decimal(1), 10))
"""Source: The Site Reliability Workbook, chapter 5, table 5-8, for 30 days; sloth has the same values."""


@dataclass(frozen=True)
class Objective:
    """A share of requests that has to be good over 30 days.

    Attributes:
        kind: `availability` or `latency`.
        percent: The share that has to be good, in percent.
        bound_s: For latency: a request within this many seconds is good.
    """

    kind: str
    percent: Decimal
    bound_s: Decimal | None = None

    @property
    def budget(self) -> Decimal:
        """The share of requests that may be bad."""
        return (100 - self.percent) / 100

    @property
    def name(self) -> str:
        """The value of its label `slo`."""
        return self.kind if self.bound_s is None else f"latency-{_plain(self.bound_s)}s"

    @property
    def text(self) -> str:
        """The objective as a person reads it."""
        share = f"{_plain(self.percent)} %"
        return share if self.bound_s is None else f"{share} within {_plain(self.bound_s)} s"

    def limit(self, window: Window) -> str:
        """The share of bad requests at which a window's alert fires, as an exact decimal."""
        return _plain(window.factor * self.budget)


def parse_objective(text: str) -> Objective:
    """Read `availability=99.9` or `latency=95%<500ms`.

    Raises:
        OperationsError: The text is neither, or leaves no budget.
    """
    kind, _, value = text.replace(" ", "").partition("=")
    if kind == "availability":
        return Objective(kind, _percent(text, value.removesuffix("%")))
    found = _LATENCY.fullmatch(value)
    if kind != "latency" or found is None:
        raise OperationsError(f"--slo {text!r}", "is no objective", EXPECTED)
    percent, bound = _percent(text, found["target"]), _number(text, found["bound"])
    bound_s = bound / 1000 if found["unit"] == "ms" else bound
    return Objective(kind, percent, bound_s)


def check_objective(objective: Objective, service: MonitoredService) -> None:
    """Refuse an objective that the service's metrics cannot measure.

    Raises:
        OperationsError: The service lacks the family, or its histogram lacks the bound.
    """
    needed = REQUESTS if objective.bound_s is None else DURATION
    if needed not in service.families:
        raise OperationsError(
            f"an objective of {objective.kind}", f"needs {needed}, which {service.job} has not"
        )
    if objective.bound_s is None:
        return
    from otel_obs.ops.promql import Dialect

    bounds = Dialect(service.naming).bounds(DURATION)
    if float(objective.bound_s) not in bounds:
        listed = ", ".join(f"{bound:g}" for bound in bounds)
        raise OperationsError(
            f"latency within {_plain(objective.bound_s)} s",
            f"cannot be known: the buckets of {DURATION} end at {listed} s",
            "choose one of these, or add the bound with OTEL_OBS_BUCKETS",
        )


def _percent(text: str, value: str) -> Decimal:
    percent = _number(text, value)
    if not _LOWEST <= percent < _HIGHEST:
        raise OperationsError(
            f"--slo {text!r}",
            "leaves no budget to burn" if percent >= _HIGHEST else "asks for less than half",
            f"give a share from {_LOWEST} to below {_HIGHEST} percent",
        )
    return percent


def _number(text: str, value: str) -> Decimal:
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise OperationsError(f"--slo {text!r}", f"has {value!r} for a number", EXPECTED) from None
    if not number.is_finite():
        raise OperationsError(f"--slo {text!r}", f"has {value!r} for a number", EXPECTED)
    return number


def _plain(number: Decimal) -> str:
    """A decimal without an exponent and without trailing zeros."""
    return f"{number.normalize():f}"
