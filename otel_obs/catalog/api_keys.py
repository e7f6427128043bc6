"""API keys, by an id that is never the key."""

from __future__ import annotations

import os
import re

from otel_obs.catalog.boundary import safely
from otel_obs.catalog.instruments import Counter, Gauge
from otel_obs.catalog.naming import ANY
from otel_obs.errors import DeclarationError

__all__ = ["api_key_failures_total", "api_key_success_rate", "api_key_successes_total", "record_api_key"]

_KEY = {"key_id": ANY}

api_key_successes_total = Counter(
    "api_key_successes_total", "Total successful calls by API key", unit="{call}", attributes=_KEY
)
api_key_failures_total = Counter(
    "api_key_failures_total", "Total failed calls by API key", unit="{call}", attributes=_KEY
)
api_key_success_rate = Gauge(
    "api_key_success_rate",
    "Share of successful calls by API key (0.0 to 1.0)",
    attributes=_KEY,
    share=(api_key_successes_total, api_key_failures_total),
)

_PREFIXES = re.compile(
    r"(sk|pk|rk|xai|gsk|hf|r8|pplx|ghp|gho|ghs|glpat|xox[a-z])[-_]\S{8,}|AIza|ya29\.|AKIA|ASIA|eyJ|Bearer\s|Basic\s"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONG = 24
_MAX_KEYS = 2000
_counts: dict[str, list[int]] = {}


def looks_secret(text: str) -> bool:
    """Whether *text* looks like a key rather than like the id of one."""
    if _PREFIXES.match(text):
        return True
    is_mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return len(text) >= _LONG and is_mixed and not _UUID.fullmatch(text)


class api_key:
    """An API key, by its id, that calls are made with.

    Args:
        key_id: What the team calls the key: a number, a name, the first letters of a hash.

    Raises:
        DeclarationError: The id looks like the key itself; the message does not show it.
    """

    __slots__ = ("_key_id",)

    def __init__(self, key_id: str) -> None:
        if looks_secret(str(key_id)):
            raise DeclarationError("key_id", "looks like a key", "give an id of the key, such as a number")
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
    # Over workers the share is made from the counters; this is what one process alone can say.
    api_key_success_rate.set(counts[0] / sum(counts), labels)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_counts.clear)
