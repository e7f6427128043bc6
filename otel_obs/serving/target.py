"""The target of a request as the client spelt it, before a server has decoded or tidied it.

A proxy in front that keeps `/metrics` from the public compares what it gets. Each other spelling that a
server takes for the same path would pass by it: `//metrics`, `/%6detrics`, `/x/../metrics`, `/metrics#x`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

_SCHEMES = ("http", "https")


def split_target(target: str) -> tuple[str, str]:
    """The path of a target, not decoded, and its query.

    Args:
        target: A path, with or without a query, or a whole URL (RFC 9112, 3.2.2).
    """
    path, _, query = target.partition("?")
    scheme, _, rest = path.partition("://")
    if scheme.lower() in _SCHEMES:
        authority, slash, below = rest.partition("/")
        if authority:
            path = slash + below
    return path, query


def is_spelt(target: str, paths: Iterable[str], prefix: str = "") -> bool:
    """Whether a target is literally one of *paths*, be it below a prefix such as that of a mount.

    Args:
        target: The target, not decoded.
        paths: The paths, as they are spelt in a target.
        prefix: The prefix that the server knows, decoded. It, or its end, may stand before the path; another
            prefix, which something has taken away, must have nothing to be tidied or decoded.
    """
    given, _ = split_target(target)
    return any(given.endswith(path) and _is_literal(given.removesuffix(path), prefix) for path in paths)


def _is_literal(given: str, known: str) -> bool:
    if not given:
        return True
    start, *segments = given.split("/")
    if start or known.endswith(given) or quote(known).endswith(given):
        return not start
    return not {"#", "%"}.intersection(given) and not {"", ".", ".."}.intersection(segments)
