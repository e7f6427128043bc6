"""The API of `prometheus_client`, over OpenTelemetry instruments that all workers of a service share.

Under the wrapper, and where `otel_obs.configure()` was called, code that imports `prometheus_client` needs no
changed import. Anywhere else, change one: `from prometheus_client import Counter` to
`from otel_obs.prometheus import Counter`. What differs is in `docs/migrate.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import prometheus_client

# First: it wraps the functions that serve a registry, and the next import takes them from there.
from otel_obs.prometheus import _serving  # noqa: F401

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
from otel_obs.prometheus._inventory import install as install
from otel_obs.prometheus._inventory import tell_names as tell_names
from otel_obs.prometheus._inventory import uninstall as uninstall
from otel_obs.prometheus._standing_in import stand_aside as stand_aside
from otel_obs.prometheus._standing_in import stand_in as stand_in
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
from otel_obs.prometheus.registry import REGISTRY, CollectorRegistry
from otel_obs.prometheus.registry import share as share

if TYPE_CHECKING:
    from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client import CONTENT_TYPE_PLAIN_1_0_0 as CONTENT_TYPE_PLAIN_1_0_0

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
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_wsgi_app",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
]


if not TYPE_CHECKING:  # a type checker that saw `__getattr__` would accept every misspelt name

    def __getattr__(name: str) -> Any:
        """Look up names that only newer versions of `prometheus_client` have: `CONTENT_TYPE_PLAIN_0_0_4`."""
        if name in prometheus_client.__all__:
            return getattr(prometheus_client, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# Here, not in the set-up: signal handlers can be installed on the main thread only, which usually runs this
# import, while the first record, which sets up the service, may come on any thread.
_watch_for_the_end()
