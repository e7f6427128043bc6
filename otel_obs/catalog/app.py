"""Which application this is."""

from __future__ import annotations

import sys

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import GaugeMetric
from otel_obs.catalog.kit.naming import ANY

__all__ = ["app_info", "set_app_info"]

app_info = GaugeMetric(
    "app_info",
    "Application information",
    attributes={"version": ANY, "environment": ANY, "python_version": ANY},
    merge="max",
)

_shown: dict[str, str] = {}


@safely(app_info)
def set_app_info(version: str, environment: str, python_version: str | None = None) -> None:
    """Show which application this is; a later call replaces the labels of an earlier one.

    Args:
        version: The application's version.
        environment: Such as `production`.
        python_version: By default that of this interpreter.
    """
    told = {
        "version": str(version),
        "environment": str(environment),
        "python_version": python_version or ".".join(map(str, sys.version_info[:3])),
    }
    if _shown and _shown != told:
        app_info.remove(dict(_shown))
    _shown.update(told)
    app_info.set(1, told)
