"""Which names are taken in one exposition: no two families may have a name, or a sample's, in common.

The names that a sample bears come first, in every format. What OpenMetrics reserves beside them (the name
without `_total` or `_info`, and `_created`) comes after: a family that cannot have it is written under the
full names of its samples as `unknown`, and no number is lost. Who comes first is told by names alone, so that
every worker says the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_obs.exposition.from_client import OtherFamily
from otel_obs.exposition.plan import TARGET_INFO, Family, sample_names, warn_once


def settle(
    families: Sequence[Family], others: Sequence[OtherFamily], is_openmetrics: bool
) -> tuple[list[Family], list[OtherFamily]]:
    """Those whose names are free, in their order; the others are left out with a warning.

    Args:
        families: Ours, which win a name.
        others: Those of prometheus_client.
        is_openmetrics: Whether names are to be free by the rules of OpenMetrics too.
    """
    every: list[Family | OtherFamily] = [*families, *others]
    ranked = sorted(range(len(every)), key=lambda at: _rank(every[at]))
    taken: set[str] = set()
    kept = [at for at in ranked if _take(every[at], taken)]
    unknown = {at for at in kept if _gives_up(every[at], taken)} if is_openmetrics else set()
    shown = [
        family for at in sorted(kept) for family in (every[at].as_unknown() if at in unknown else [every[at]])
    ]
    return (
        [family for family in shown if isinstance(family, Family)],
        [family for family in shown if isinstance(family, OtherFamily)],
    )


def _rank(family: Family | OtherFamily) -> tuple[bool, bool, str]:
    is_ours = isinstance(family, Family)
    return not is_ours, not (is_ours and family.name == TARGET_INFO), family.stem


def _take(family: Family | OtherFamily, taken: set[str]) -> bool:
    wanted = sample_names(family.name, family.type, is_openmetrics=False)
    clash = taken & wanted
    if clash:
        whose = "" if isinstance(family, Family) else " of prometheus_client"
        warn_once(
            f"the {family.type} {family.name!r}{whose} is not exposed: "
            f"another metric has the name {min(clash)!r}; rename one"
        )
        return False
    taken |= wanted
    return True


def _gives_up(family: Family | OtherFamily, taken: set[str]) -> bool:
    own = sample_names(family.name, family.type, is_openmetrics=False)
    more = sample_names(family.name, family.type, is_openmetrics=True) - own
    clash = taken & more
    if clash:
        warn_once(
            f"the {family.type} {family.name!r} is of unknown type in OpenMetrics: "
            f"another metric has the name {min(clash)!r}; rename one"
        )
        return True
    taken |= more
    return False
