"""The API of `prometheus_client`, over OpenTelemetry instruments that all workers of a service share.

Under the wrapper, and where `otel_obs.configure()` was called, code that imports `prometheus_client` needs no
changed import. Anywhere else, change one: `from prometheus_client import Counter` to
`from otel_obs.prometheus import Counter`. What differs is in `docs/migrate.md`.
"""

from __future__ import annotations

from typing import Any

import prometheus_client

from otel_obs.prometheus import _serving  # noqa: F401  # before what serves is imported

from prometheus_client import (  # isort: skip
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    GCCollector,
    Metric,
    MetricsHandler,
    PlatformCollector,
    ProcessCollector,
    delete_from_gateway,
    generate_latest,
    instance_ip_grouping_key,
    make_wsgi_app,
    push_to_gateway,
    pushadd_to_gateway,
    start_http_server,
    start_wsgi_server,
    write_to_textfile,
)

from otel_obs.host.endings import watch as _watch_for_the_end
from otel_obs.prometheus._inventory import install, tell_names, uninstall
from otel_obs.prometheus._standing_in import stand_aside, stand_in
from otel_obs.prometheus.asgi import make_asgi_app
from otel_obs.prometheus.metrics import (
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    disable_created_metrics,
    enable_created_metrics,
)
from otel_obs.prometheus.registry import REGISTRY, CollectorRegistry, share

__all__ = [
    "CONTENT_TYPE_LATEST",
    "GC_COLLECTOR",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "REGISTRY",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "GCCollector",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "MetricsHandler",
    "PlatformCollector",
    "ProcessCollector",
    "Summary",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "generate_latest",
    "install",
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_wsgi_app",
    "push_to_gateway",
    "pushadd_to_gateway",
    "share",
    "stand_aside",
    "stand_in",
    "start_http_server",
    "start_wsgi_server",
    "tell_names",
    "uninstall",
    "write_to_textfile",
]


def __getattr__(name: str) -> Any:
    """What newer versions of `prometheus_client` have, such as `CONTENT_TYPE_PLAIN_0_0_4`."""
    if name in prometheus_client.__all__:
        return getattr(prometheus_client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Metrics are set up by who uses them first, on any thread; signals are the main thread's, which imports this.
_watch_for_the_end()
