"""Wraps the functions of `prometheus_client` that serve a registry, so that they also `share` it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import prometheus_client
from prometheus_client import asgi, exposition
from prometheus_client import registry as their_registry
from wrapt import register_post_import_hook

from otel_obs.prometheus.registry import share

_SERVING = ("make_wsgi_app", "start_wsgi_server", "start_http_server")
_LATER = {"prometheus_client.aiohttp": "make_aiohttp_handler", "prometheus_client.twisted": "MetricsResource"}
"""Modules that need other packages: wrapped only when the application imports them."""


def serving_all_workers(serve: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap *serve*, so that the registry it serves is merged over workers from then on."""
    signature = inspect.signature(serve)

    @wraps(serve)
    def serving(*args: Any, **kwargs: Any) -> Any:
        try:
            registry = signature.bind(*args, **kwargs).arguments.get("registry")
        except TypeError:  # wrong arguments: *serve* itself raises the better error below
            registry = None
        if isinstance(registry, their_registry.CollectorRegistry):
            share(registry)
        return serve(*args, **kwargs)

    return serving


def _have_share(module: Any, name: str) -> None:
    before = getattr(module, name, None)
    if before is None:
        return
    after = serving_all_workers(before)
    # `prometheus_client` re-exports most of these names: both have to be replaced.
    for holder in (module, prometheus_client):
        if getattr(holder, name, None) is before:
            setattr(holder, name, after)


for _name in _SERVING:
    _have_share(exposition, _name)
_have_share(asgi, "make_asgi_app")
for _module_name, _name in _LATER.items():
    register_post_import_hook(partial(_have_share, name=_name), _module_name)
_factory = exposition.MetricsHandler.factory.__func__  # type: ignore[attr-defined]
exposition.MetricsHandler.factory = classmethod(serving_all_workers(_factory))  # type: ignore[assignment,method-assign]
