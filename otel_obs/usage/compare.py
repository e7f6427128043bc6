"""Differences between two pages of metrics, and the rules and panels that they break."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from otel_obs.usage.exposed import ExposedFamily
from otel_obs.usage.expressions import Selector
from otel_obs.usage.users import Used

FamiliesByName = Mapping[str, ExposedFamily]


class Change(NamedTuple):
    """One difference: `kind` is family, type, label or bound; `how` is gone, new or changed."""

    kind: str
    how: str
    family: str
    what: str = ""


class Break(NamedTuple):
    """A rule or panel that stops working, and why."""

    where: str
    expression: str
    why: str


def changes(old: FamiliesByName, new: FamiliesByName) -> list[Change]:
    """Every difference, by family."""
    return [
        change for name in sorted({*old, *new}) for change in _changes(name, old.get(name), new.get(name))
    ]


def _changes(name: str, old: ExposedFamily | None, new: ExposedFamily | None) -> Iterator[Change]:
    if old is None or new is None:
        yield Change("family", "new" if old is None else "gone", name)
        return
    if old.type != new.type:
        yield Change("type", "changed", name, f"{old.type} becomes {new.type}")
    for kind, before, after in (("label", old.labels, new.labels), ("bound", old.bounds, new.bounds)):
        # A histogram without a series has no bounds to compare.
        if (before and after) or kind == "label":
            yield from (Change(kind, "gone", name, each) for each in sorted(before - after))
            yield from (Change(kind, "new", name, each) for each in sorted(after - before))


def breaks(old: FamiliesByName, new: FamiliesByName, users: Iterable[Used]) -> list[Break]:
    """The rules and panels that use metrics, labels or bounds which the new page lacks."""
    before, after = _by_sample(old), _by_sample(new)
    return [
        Break(each.user.where, each.user.expression, why)
        for each in users
        for why in dict.fromkeys(
            why for selector in each.selectors for why in _broken(selector, before, after)
        )
    ]


def _by_sample(families: FamiliesByName) -> dict[str, ExposedFamily]:
    return {sample: family for family in families.values() for sample in family.samples}


def _broken(selector: Selector, before: FamiliesByName, after: FamiliesByName) -> Iterator[str]:
    old, new = before.get(selector.name), after.get(selector.name)
    if old is None:
        return
    if new is None:
        yield f"{selector.name} is gone"
        return
    if old.type != new.type:
        yield f"{selector.name} was a {old.type} and is a {new.type}"
    for label in sorted((selector.needs | selector.groups) & (old.labels - new.labels)):
        yield f"{selector.name} has no label {label} any more"
    for bound in sorted(selector.bounds & (old.bounds - new.bounds)):
        yield f'{selector.name} has no bound le="{bound}" any more'
