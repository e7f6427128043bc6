"""API keys, by an id that is never the key."""

from __future__ import annotations

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, GaugeMetric
from otel_obs.catalog.kit.naming import ANY
from otel_obs.catalog.kit.redaction import looks_secret
from otel_obs.errors import secret_value
from otel_obs.host import forks

__all__ = ["api_key_failures_total", "api_key_success_rate", "api_key_successes_total", "record_api_key"]

_KEY: dict[str, tuple[str, ...]] = {"key_id": ANY}
_IDS = ("key_id",)

api_key_successes_total = CounterMetric(
    "api_key_successes_total", "Total successful calls by API key", unit="{call}", attributes=_KEY, ids=_IDS
)
api_key_failures_total = CounterMetric(
    "api_key_failures_total", "Total failed calls by API key", unit="{call}", attributes=_KEY, ids=_IDS
)
api_key_success_rate = GaugeMetric(
    "api_key_success_rate",
    "Share of successful calls by API key (0.0 to 1.0)",
    attributes=_KEY,
    ids=_IDS,
    share=(api_key_successes_total, api_key_failures_total),
)

_MAX_KEYS = 2000
"""Keys whose share this process computes; further keys are only counted."""

_counts: dict[str, list[int]] = {}


class api_key:
    """An API key, by its id, that calls are made with.

    Args:
        key_id: The team's id of the key: a number, a name, the first letters of a hash.

    Raises:
        DeclarationError: The id looks like the key itself; the message does not show it.
    """

    __slots__ = ("_key_id",)

    def __init__(self, key_id: str) -> None:
        if looks_secret(str(key_id)):
            raise secret_value("key_id")
        self._key_id = str(key_id)

    def success(self) -> None:
        """Count a call that worked."""
        record_api_key(self._key_id, True)

    def failure(self) -> None:
        """Count a call that did not work."""
        record_api_key(self._key_id, False)


@safely(api_key_success_rate)
def record_api_key(key_id: str, success: bool) -> None:
    """Count a call that was made with a key; an id that looks like the key itself is dropped.

    Args:
        key_id: An id of the key, never the key.
        success: Whether the call worked.
    """
    key_id = str(key_id)
    if looks_secret(key_id):
        api_key_success_rate.drop("secret", "record_api_key() got what looks like a key; give an id of it")
        return
    labels = {"key_id": key_id}
    (api_key_successes_total if success else api_key_failures_total).add(1, labels)
    if len(_counts) >= _MAX_KEYS and key_id not in _counts:
        return
    counts = _counts.setdefault(key_id, [0, 0])
    counts[0 if success else 1] += 1
    # Over several workers a scrape computes the share from the counters; this value serves a single process.
    api_key_success_rate.set(counts[0] / sum(counts), labels)


# The calls that the parent counted are the parent's; the child's share starts from its own.
forks.after_in_child(_counts.clear)
