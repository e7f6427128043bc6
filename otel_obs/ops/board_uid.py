"""The uid of a dashboard, which is also the end of the links of alerts."""

from __future__ import annotations

import re
import zlib

LONGEST = 40
"""Grafana refuses a longer uid, and one with other characters than these."""
_ALLOWED = re.compile(r"[A-Za-z0-9_-]+")


def board_uid(job: str, slug: str) -> str:
    """The uid of a service's dashboard: readable where the service's name can be a part of it.

    Args:
        job: The service.
        slug: The dashboard.
    """
    plain = f"{job}-{slug}"
    if len(plain) <= LONGEST and _ALLOWED.fullmatch(plain):
        return plain
    digest = f"{zlib.crc32(job.encode()):08x}"
    readable = "-".join(_ALLOWED.findall(job))[: LONGEST - len(digest) - len(slug) - 2]
    return "-".join(part for part in (readable, digest, slug) if part)
