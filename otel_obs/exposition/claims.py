"""Which names are taken in one exposition: no two families may have a name, or a sample's, in common.

In every format, a family first claims the names of its samples. OpenMetrics reserves further names (that
without `_total` or `_info`, and `_created`): a family that cannot claim these is written under the full names
of its samples with type `unknown`, so that no number is lost. The order of claims depends on names alone, so
that every worker decides alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_obs.exposition.from_client import OtherFamily
from otel_obs.exposition.plan import TARGET_INFO, Family, sample_names, warn_once


def settle(
    families: Sequence[Family], others: Sequence[OtherFamily], is_openmetrics: bool
) -> tuple[list[Family], list[OtherFamily]]:
    """Select the families whose names are free, in their order; the others are left out with a warning.

    Args:
        families: Families of otel_obs, which win a contested name.
        others: Families of prometheus_client.
        is_openmetrics: Whether the names that OpenMetrics reserves have to be free, too.
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
    if family.type == "gaugehistogram":  # the text format shows it as a histogram, to which these belong
        wanted |= {f"{family.name}_count", f"{family.name}_sum"}
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
