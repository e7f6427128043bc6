"""Workers that are forked after the set-up, as by `gunicorn --preload`, join when they begin to serve."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from otel_obs.assembly.setup import Running
from otel_obs.frameworks.servers import GUNICORN, restore
from otel_obs.host.imports import when_imported
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")


def watch() -> None:
    """Have each worker join when its server asks there for the application."""
    Running.undoing.once(restore)
    Running.undoing.later(when_imported(GUNICORN.module, partial(GUNICORN.change, wrap=join)))


def join(app: Any) -> Any:
    """Join the service where this process is set up, and return *app*."""
    pipeline, joined = Running.pipeline, Running.service
    if pipeline is not None and joined is not None:
        try:
            joined[1].join(pipeline.provider.worker)
        except Exception as error:
            raise_interruption(error)
            _logger.warning("this worker joins its service at its first record only", exc_info=error)
    return app
