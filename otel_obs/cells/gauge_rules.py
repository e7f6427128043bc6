"""Merge rules, one row each: how the values of one gauge in several workers become one value.

A stream names its rule, with the rule's argument after a colon: `worst:2,1,0`, `share:hits,misses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.validity import InvalidError, demand

TimedValue = tuple[float, float]
"""The monotonic time at which a gauge was set, and its value. The time is negative where the gauge was only
counted up and down, and 0 where it was never changed."""

GaugeChoice = Callable[[Sequence[TimedValue]], float]
"""Makes one value of those of several workers."""

MergedCounters = Mapping[str, Mapping[Attributes, float]]
"""The merged counters of a scrape, by name and attributes."""


def _latest(readings: Sequence[TimedValue]) -> float:
    return max(readings)[1]


def _latest_or_sum(readings: Sequence[TimedValue]) -> float:
    """The latest value; the sum of all workers where the gauge was only counted up and down, never set."""
    set_s, value = max(readings)
    return value if set_s > 0.0 else sum(value for _, value in readings)


def _worst(order: str) -> GaugeChoice:
    """Choose the state that comes first in *order*; a state that is not in it comes last."""
    rank = {float(state): position for position, state in enumerate(order.split(","))}
    return lambda readings: min(
        (value for _, value in readings), key=lambda state: rank.get(state, len(rank))
    )


def _demand_states(order: str) -> None:
    try:
        states = [float(state) for state in order.split(",")]
    except ValueError as error:
        raise InvalidError("states are no numbers") from error
    demand(all(map(isfinite, states)), "states are no numbers")


def _demand_names(names: str) -> None:
    demand(all(names.split(",")), "a share is of nothing")


def _share(names: str, attributes: Attributes, counters: MergedCounters) -> float:
    """The first counter's part of the sum of all that are named."""
    amounts = [counters.get(name, {}).get(attributes, 0.0) for name in names.split(",")]
    return amounts[0] / sum(amounts) if sum(amounts) else 0.0


def _anything(told: str) -> None:
    """Accept any argument: the rule has none, or takes a label's name."""


class MergeRule(NamedTuple):
    """One rule.

    Attributes:
        says: What it shows, for a reader of the documentation.
        choose: Makes one value of the workers' values.
        choose_by: Makes that function from the rule's argument; used in place of *choose*.
        compute: Computes the value from the merged counters instead; the workers' own values are ignored.
        demand: Refuses invalid arguments of the rule.
        can_end: Whether one worker's removal ends the series in all workers: by the time of removal it
            supersedes what other workers have set before, as a later value would.
        worker_label: The label that tells the workers apart by default; "" where they are merged.
    """

    says: str
    choose: GaugeChoice = _latest
    choose_by: Callable[[str], GaugeChoice] | None = None
    compute: Callable[[str, Attributes, MergedCounters], float] | None = None
    demand: Callable[[str], None] = _anything
    can_end: bool = False
    worker_label: str = ""


GAUGE_RULES: dict[str, MergeRule] = {
    "latest": MergeRule("the latest", can_end=True),
    "latest_or_sum": MergeRule("the latest; the sum while it is only counted", _latest_or_sum, can_end=True),
    "sum": MergeRule("the sum", lambda readings: sum(value for _, value in readings)),
    "max": MergeRule("the largest", lambda readings: max(value for _, value in readings)),
    "min": MergeRule("the smallest", lambda readings: min(value for _, value in readings)),
    "mean": MergeRule("the mean", lambda readings: sum(value for _, value in readings) / len(readings)),
    "worst": MergeRule("the worst state", choose_by=_worst, demand=_demand_states),
    # The label makes the series of each worker distinct, so that there is only one value to choose from.
    "per_worker": MergeRule("each, with the label `worker`", worker_label="worker"),
    "share": MergeRule("the share over all workers", compute=_share, demand=_demand_names),
}


def split_rule(merge: str) -> tuple[MergeRule, str]:
    """The rule that a stream names, and its argument."""
    name, _, told = merge.partition(":")
    return GAUGE_RULES[name], told


def choice_of(merge: str) -> GaugeChoice:
    """The function that makes one value of several, by the rule that a stream names."""
    rule, told = split_rule(merge)
    return rule.choose_by(told) if rule.choose_by is not None else rule.choose


def worker_label_of(merge: str) -> str:
    """The label that tells the workers of a stream apart; "" where they are merged."""
    rule, told = split_rule(merge)
    return (told or rule.worker_label) if rule.worker_label else ""


def demand_rule(merge: str) -> None:
    """Refuse an unknown rule, or a rule with an invalid argument.

    Raises:
        InvalidError: The rule is unknown, or its argument is invalid.
    """
    name, _, told = merge.partition(":")
    demand(name in GAUGE_RULES, "a gauge has no such rule")
    GAUGE_RULES[name].demand(told)
