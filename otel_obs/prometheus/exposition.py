"""`prometheus_client.exposition`: expositions of a registry, and servers and clients that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import exposition as their_exposition
from prometheus_client.exposition import (
    CONTENT_TYPE_LATEST,
    MetricsHandler,
    ThreadingWSGIServer,
    basic_auth_handler,
    choose_encoder,
    default_handler,
    delete_from_gateway,
    generate_latest,
    gzip_accepted,
    instance_ip_grouping_key,
    make_wsgi_app,
    passthrough_redirect_handler,
    push_to_gateway,
    pushadd_to_gateway,
    start_http_server,
    start_wsgi_server,
    tls_auth_handler,
    write_to_textfile,
)

from otel_obs.prometheus.asgi import make_asgi_app

__all__ = [
    "CONTENT_TYPE_LATEST",
    "MetricsHandler",
    "ThreadingWSGIServer",
    "basic_auth_handler",
    "choose_encoder",
    "default_handler",
    "delete_from_gateway",
    "generate_latest",
    "gzip_accepted",
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_wsgi_app",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "tls_auth_handler",
    "write_to_textfile",
]


if not TYPE_CHECKING:  # a type checker that saw `__getattr__` would accept every misspelt name

    def __getattr__(name: str) -> Any:
        """Look up names that only newer versions of `prometheus_client` have: `CONTENT_TYPE_PLAIN_0_0_4`."""
        if name.startswith("__"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(their_exposition, name)
