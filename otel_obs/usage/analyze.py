"""Unused metrics of a service, and rules and dashboards that use missing metrics or labels."""

from __future__ import annotations

import json
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from otel_obs.errors import UnreadableError
from otel_obs.reading.fetch import Fetching
from otel_obs.usage.compare import Break
from otel_obs.usage.users import Used, User, used

MADE_BY_PROMETHEUS = frozenset({"ALERTS", "ALERTS_FOR_STATE", "up"})
_SUFFIXES = ("_bucket", "_sum", "_count", "_created")
MAX_JSON_BYTES = 64 * 1024 * 1024
"""Of an answer of the API: parsed, it takes many times as much."""
LabelsByFamily = Mapping[str, frozenset[str]]


class Unused(NamedTuple):
    """A family that no rule and no panel uses, and the number of its series."""

    family: str
    series: int


class Analysis(NamedTuple):
    """Unused families, broken uses, and expressions that could not be parsed."""

    unused: list[Unused]
    missing: list[Break]
    unread: list[Used]


class PrometheusApi:
    """Read-only queries to the HTTP API of a Prometheus."""

    def __init__(self, base: str, fetching: Fetching) -> None:
        self._base, self._fetching = base.rstrip("/"), fetching

    def _get(self, path: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        where = f"{self._base}/api/v1/{path}" + (f"?{query}" if query else "")
        answer = self._fetching.fetch(where, "application/json", MAX_JSON_BYTES)
        said = _parsed(answer.body)
        if answer.status == 200 and _at(said, "status") == "success":
            return _at(said, "data")
        error = _at(said, "error")
        raise self._unlike(
            error if isinstance(error, str) else f"answered {answer.status}, and not as Prometheus does"
        )

    def _unlike(self, problem: str) -> UnreadableError:
        return UnreadableError(
            self._base, problem, "give the address of a Prometheus, such as http://localhost:9090"
        )

    def _list(self, found: Any, kind: type) -> list[Any]:
        """*found*, if it is a list of values of a kind, as a Prometheus answers."""
        if isinstance(found, list) and all(isinstance(each, kind) for each in found):
            return found
        raise self._unlike("answered 200, and not as Prometheus does")

    def names(self) -> frozenset[str]:
        """The names of all series."""
        return frozenset(self._list(self._get("label/__name__/values"), str))

    def series(self, matcher: str) -> list[dict[str, str]]:
        """The labels of each series that a matcher selects."""
        found = self._list(self._get("series", **{"match[]": matcher}), dict)
        for labels in found:
            self._list(list(labels.values()), str)
        return found

    def rules(self) -> list[Used]:
        """The rules that it runs."""
        groups = self._list(_at(self._get("rules"), "groups"), dict)
        found = [(rule, group) for group in groups for rule in self._list(group.get("rules"), dict)]
        for rule, group in found:
            self._list([rule.get("name"), rule.get("query"), group.get("file", group.get("name"))], str)
        return [used(_rule(rule, group)) for rule, group in found]


def _parsed(body: bytes) -> Any:
    """The JSON of an answer; None where it is none, or is nested without an end."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _at(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, dict) else None


def _rule(rule: Mapping[str, Any], group: Mapping[str, Any]) -> User:
    recorded = rule["name"] if rule.get("type") == "recording" else ""
    kind = "record" if recorded else "alert"
    return User(f"{group.get('file', group.get('name'))}: {kind} {rule['name']}", rule["query"], recorded)


def analyze(api: PrometheusApi, job: str, users: Iterable[Used]) -> Analysis:
    """Compare the metrics of one job with those that rules and panels use.

    Args:
        api: The Prometheus that scrapes the service.
        job: The value of its `job` label; "" for all jobs.
        users: Rules and panels.

    Raises:
        UnreadableError: Prometheus does not answer, or knows no such job.
    """
    everyone = list(users)
    series = api.series(f"{{job={json.dumps(job)}}}" if job else '{__name__!=""}')
    if not series:
        what = f"has no series of job {job!r}" if job else "has no series"
        raise UnreadableError(
            job or "Prometheus", what, "is the service scraped, and is that its name there?"
        )
    recorded = {each.user.records for each in everyone if each.user.records}
    counts: defaultdict[str, int] = defaultdict(int)
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for each in series:
        name = each.get("__name__", "")
        labels[name].update(each)
        counts[name] += 1
    have = {name: frozenset(found) for name, found in labels.items()}
    known = api.names() | recorded | MADE_BY_PROMETHEUS
    return Analysis(
        sorted(_unused(counts, everyone, recorded), key=lambda each: (-each.series, each.family)),
        [
            Break(each.user.where, each.user.expression, why)
            for each in everyone
            for why in _lacking(each, have, known, job)
        ],
        [each for each in everyone if each.problem],
    )


def _family_of(name: str, names: Iterable[str]) -> str:
    """The family of a sample; all samples of a histogram have the same one."""
    for suffix in _SUFFIXES:
        base = name.removesuffix(suffix)
        if name.endswith(suffix) and (base + "_bucket" in names or base + "_count" in names):
            return base
    return name


def _unused(counts: Mapping[str, int], users: Iterable[Used], recorded: set[str]) -> Iterator[Unused]:
    asked = {_family_of(s.name, counts) for each in users for s in each.selectors}
    families: defaultdict[str, int] = defaultdict(int)
    for name, count in counts.items():
        if name not in MADE_BY_PROMETHEUS | recorded and not name.startswith("scrape_"):
            families[_family_of(name, counts)] += count
    yield from (Unused(family, count) for family, count in families.items() if family not in asked)


def _lacking(each: Used, have: LabelsByFamily, known: frozenset[str], job: str) -> Iterator[str]:
    """The metrics and labels that a user selects but that do not exist."""
    said = dict[str, None]()
    for selector in each.selectors:
        if not selector.name or selector.name.startswith("scrape_"):
            continue
        is_of_job = not job or dict(selector.values).get("job", "") == job
        if selector.name not in known or (is_of_job and job and selector.name not in have):
            said[f"there is no {selector.name}"] = None
        elif selector.name in have:
            lacking = sorted((selector.needs | selector.groups) - have[selector.name])
            said.update(dict.fromkeys(f"{selector.name} has no label {label}" for label in lacking))
    yield from said
