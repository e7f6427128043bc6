"""The families that a service has: those that its page shows, or those of named groups."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from otel_obs.catalog import GROUPS, metrics
from otel_obs.catalog.kit.naming import Declaration, Naming
from otel_obs.errors import OperationsError, UnreadableError
from otel_obs.ops.naming_on_page import recognise, service_name_on
from otel_obs.ops.promql import Dialect, families_in, row_of
from otel_obs.reading.fetch import Fetching, address
from otel_obs.reading.text import read_page

OPTIONAL: Mapping[str, str] = {
    "http_request_size_bytes": "OTEL_OBS_HTTP_SIZES",
    "http_response_size_bytes": "OTEL_OBS_HTTP_SIZES",
    "http_response_first_byte_seconds": "streamed answers",
    "websocket_connections_open": "websockets",
    "websocket_connections_total": "websockets",
    "websocket_connection_duration_seconds": "websockets",
    "websocket_messages_total": "websockets",
    "preprocessing_duration_seconds": "`preprocessing_time`",
    "event_loop_lag_seconds": "an event loop",
    "llm_time_to_first_token_seconds": "streamed calls",
    "llm_cost_usd_total": "`llm.set_prices`",
    "active_evidence_gauge": "`session_id`",
    "db_connections": "`database.observe_engine`",
    "errors_total": "`record_error`, or a request that was not handled",
}
"""Families that a group has only under a condition, with that condition."""

DEFAULT_JOB = "service"
"""The name of a service that has none."""

BASIC = ("http", "runtime", "process", "workers")
"""The groups that every service has."""

COLLECTOR = "collector"
"""The group of an OpenTelemetry Collector's own families, for a service whose metrics pass through one."""


_MISREAD = re.compile(r"""["'`\\{}<>$]""")


def _catalog() -> Iterable[tuple[str, Declaration]]:
    return ((group, metric.declaration) for group, metric in metrics())


@dataclass(frozen=True)
class MonitoredService:
    """A service and the metrics that it exposes.

    Attributes:
        job: Its name, the label `job` in Prometheus.
        families: The families of the catalog that it has, by their classic names.
        naming: The naming of these.
        has_collector: Whether its metrics go through an OpenTelemetry Collector.
    """

    job: str
    families: frozenset[str]
    naming: Naming = field(default_factory=Naming)
    has_collector: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that could break out of PromQL or a template: the name may come from a page.

        Raises:
            OperationsError: The name has such characters.
        """
        if _MISREAD.search(self.job) or not self.job.isprintable():
            raise OperationsError(
                f"service {self.job!r}",
                "has a name that rules cannot quote",
                "give --job another, without quotes, backslashes and braces",
            )

    @classmethod
    def of_groups(cls, job: str, wanted: Iterable[str], naming: Naming | None = None) -> MonitoredService:
        """A service with these groups; families of `OPTIONAL` have to be named one by one.

        Raises:
            OperationsError: A name is neither a group nor a family.
        """
        names = set(wanted) | set(BASIC)
        known = {family for _, row in _catalog() for family in (row.family,)}
        for name in sorted(names - set(GROUPS) - known - {COLLECTOR}):
            raise _unknown_group(name, known)
        families = {
            row.family
            for group, row in _catalog()
            if row.family in names or (group in names and row.family not in OPTIONAL)
        }
        return cls(job, frozenset(families), naming or Naming(), COLLECTOR in names)

    @classmethod
    def of_page(
        cls, job: str, page: str, naming: Naming | None = None, where: str = "it"
    ) -> MonitoredService:
        """A service whose `/metrics` is *page*. One family of a group stands for all of its regular families.

        Args:
            job: Its name; "" for the one on its page.
            page: Its metrics, as text.
            naming: Its naming, if it is known; the rest is inferred from the page.
            where: The name of the page in errors.

        Raises:
            OperationsError: The page has no HTTP family of the catalog under that naming.
        """
        scraped = read_page(page.encode())
        chosen, seen = recognise(scraped, naming)
        if not seen & {row.family for group, row in _catalog() if group == "http"}:
            raise OperationsError(
                where,
                f"shows {len(scraped.families)} families, and no HTTP family of the catalog among them",
                "give the service a request first, and set OTEL_OBS_NAMESPACE, OTEL_OBS_NAMES and "
                "OTEL_OBS_PROFILE here as they are set there",
            )
        groups = {group for group, row in _catalog() if row.family in seen}
        whole = {row.family for group, row in _catalog() if group in groups and row.family not in OPTIONAL}
        has_collector = any(name.startswith("otelcol_") for name in scraped.families)
        return cls(job or service_name_on(scraped) or DEFAULT_JOB, seen | whole, chosen, has_collector)

    @property
    def groups(self) -> list[str]:
        """The groups of its families, in the catalog's order."""
        return list(dict.fromkeys(group for group, row in _catalog() if row.family in self.families))

    def has(self, expressions: str | Collection[str]) -> bool:
        """Whether it has every catalog family and every label that the expressions use."""
        texts = [expressions] if isinstance(expressions, str) else expressions
        return all(self._has(text) for text in texts)

    def _has(self, expression: str) -> bool:
        names = families_in(expression)
        ours = {name for name in names if row_of(name)[0] is not None}
        is_collectors = any(name.startswith("otelcol_") for name in names)
        is_there = ours <= self.families and (self.has_collector or not is_collectors)
        return is_there and Dialect(self.naming).can_say(expression)


def _unknown_group(name: str, families: Collection[str]) -> OperationsError:
    existing = [*GROUPS, COLLECTOR]
    near = difflib.get_close_matches(name, [*existing, *families], 1)
    remedy = f"did you mean {near[0]!r}? " if near else ""
    return OperationsError(
        f"group {name!r}",
        "does not exist",
        f"{remedy}expected a family of docs/metrics.md or one of {', '.join(existing)}",
    )


def fetch_page(url: str, fetching: Fetching | None = None) -> str:
    """The text of a service's `/metrics`.

    Raises:
        UnreadableError: *url* is not an address, there is no answer, or its status is not 200.
    """
    where = address(url)
    answer = (fetching or Fetching({})).fetch(where)
    if answer.status != 200:
        raise UnreadableError(where, f"answered {answer.status}", "give the address of /metrics")
    return answer.body.decode("utf-8", "replace")


def named_by(option: str, value: str, known: Sequence[str]) -> None:
    """Refuse a value of an option that is not in *known*.

    Raises:
        OperationsError: The value is not known.
    """
    if value not in known:
        near = difflib.get_close_matches(value, known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise OperationsError(
            f"{option} {value!r}", "does not exist", f"{hint}expected one of {', '.join(known)}"
        )
