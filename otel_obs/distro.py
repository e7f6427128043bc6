"""The entry points that `opentelemetry-instrument` loads: distro, configurator, and which was chosen."""

from __future__ import annotations

import logging
import sys
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined,unused-ignore]

from otel_obs.assembly import applications, setup
from otel_obs.frameworks.known import INSTRUMENTORS
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

CLIENTS = {
    "aiohttp-client": "aiohttp",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "requests": "requests",
    "urllib": "urllib.request",
    "urllib3": "urllib3",
}
"""Instrumentors of HTTP clients, which pass a trace on to other services, and the modules they instrument."""


_LOADER = "opentelemetry.instrumentation.auto_instrumentation._load"


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Configuration of %s not loaded")


class Distro(BaseDistro):  # type: ignore[misc]
    """Chooses which of the installed instrumentors are loaded."""

    def _configure(self, **kwargs: Any) -> None:
        """Filter the loader's message that it skips the other distribution: that is intended."""
        logging.getLogger(_LOADER).addFilter(_is_news)

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Load an instrumentor, unless otel_obs measures the same requests.

        Those of HTTP clients are loaded for their spans, if traces are sent, when the client is imported.
        """
        name, load = entry_point.name, super().load_instrumentor
        if name not in (*INSTRUMENTORS, *CLIENTS) or applications.leaves_http_upstream():
            load(entry_point, **kwargs)
        elif name in CLIENTS:
            applications.trace_client(CLIENTS[name], lambda **options: load(entry_point, **options, **kwargs))


class Configurator:
    """Sets up metrics and measures the applications of this process. Never raises."""

    is_chosen = False

    def configure(self, **kwargs: Any) -> None:
        """Called once by the wrapper, before the application is imported."""
        Configurator.is_chosen = True
        try:
            if setup.prepare():
                applications.instrument_all()
        except Exception as error:
            raise_interruption(error)
            _logger.exception("otel_obs could not be set up; this process runs without metrics")


def announce_choice() -> None:
    """Log how to choose otel_obs, if another distribution was loaded in its place."""
    if not Configurator.is_chosen and not _is_helper():
        _logger.warning(
            "another OpenTelemetry distribution was loaded; to use otel_obs set "
            "OTEL_PYTHON_DISTRO=otel_obs OTEL_PYTHON_CONFIGURATOR=otel_obs"
        )


def _is_helper() -> bool:
    return any("multiprocessing.resource_tracker" in argument for argument in sys.orig_argv)
