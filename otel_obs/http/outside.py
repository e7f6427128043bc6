"""Announces that scrapes on the application's port are answered outside the application and its checks."""

from __future__ import annotations

import logging
from typing import Any

from otel_obs.serving.scrape import Scrape

_logger = logging.getLogger("otel_obs")


def say_where(scrape: Scrape, app: object) -> None:
    """Log once where *scrape* answers; as a warning where *app* may have checks that are bypassed.

    It is logged at the first scrape: by then the application has added all of its middleware.
    """
    if scrape.is_announced:
        return
    scrape.is_announced = True
    is_open = not scrape.has_token and may_check(getattr(app, "__self__", app))
    _logger.log(
        logging.WARNING if is_open else logging.INFO,
        "%s is answered on the application's port, outside of its middleware: its own checks, such as for a "
        "key, are not asked; OTEL_OBS_METRICS_TOKEN asks for a token, OTEL_OBS_METRICS_INSIDE=true has the "
        "application's checks asked, OTEL_EXPORTER_PROMETHEUS_PORT serves it on a port of its own",
        scrape.path,
    )


def may_check(app: Any) -> bool:
    """Whether an application may check every request; true for one that cannot be inspected."""
    before = getattr(app, "before_request_funcs", None)
    if before is not None:  # Flask's
        return any(before.values()) or "wsgi_app" in vars(app)
    middleware = getattr(app, "user_middleware", None)
    if middleware is not None:  # Starlette's
        return bool(middleware) or bool(getattr(getattr(app, "router", None), "dependencies", ()))
    return True
