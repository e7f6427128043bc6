"""Tell a secret from the id of one, so that no key becomes a label."""

from __future__ import annotations

import re

_PREFIXES = re.compile(
    r"(sk|pk|rk|xai|gsk|hf|r8|pplx|ghp|gho|ghs|glpat|xox[a-z])[-_]\S{8,}|AIza|ya29\.|AKIA|ASIA|eyJ|Bearer\s|Basic\s"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LONG = 24
_WORD = re.compile(r"[A-Za-z]{0,15}\d{0,4}")
_BETWEEN = re.compile(r"[^A-Za-z0-9]+")
_MASK = re.compile(r"[*\u2022\u2026]+|\.{3,}")
"""The mask in a shortened key: `****3f9a` and `sk-...3f9a` are not keys."""


def looks_secret(text: str) -> bool:
    """Whether *text* looks like a key rather than like the id of one.

    Each step takes linear time for any text, since ids may come from users.
    """
    text = _MASK.sub("", text)
    if _PREFIXES.match(text):
        return True
    is_mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return len(text) >= _LONG and is_mixed and not (_UUID.fullmatch(text) or _is_words(text))


def _is_words(text: str) -> bool:
    """Whether a text is words and small numbers: `openai-production-europe-west-1` is long, and no key."""
    return all(map(_WORD.fullmatch, _BETWEEN.split(text)))
