"""The meter provider that OpenTelemetry's API gets: its first meter sets the process up."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import metrics

from otel_obs.assembly.setup import Running, configure
from otel_obs.host.forgiving import forgiving
from otel_obs.host.once import LogOnce
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")
_once = LogOnce()


class DeferredProvider(metrics.MeterProvider):
    """The global provider. Its meters record to the current pipeline, also after it is made anew."""

    def get_meter(
        self,
        name: str,
        version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> metrics.Meter:
        """Return a meter, after setting up if there was no set-up yet and none is under way."""
        if Running.pipeline is None and Running.builder is None and not Running.is_over:
            _configure_quietly()
        # Imported here: the provider is made in processes that never ask for a meter.
        from otel_obs.sdk.deferred import METERS

        return METERS.get_meter(name, version, schema_url, attributes)

    def __getattr__(self, name: str) -> Any:
        """Look up methods that only the SDK's provider has, such as `force_flush`."""
        pipeline = Running.pipeline if name.startswith("_") or Running.is_over else configure()
        if pipeline is None:
            raise AttributeError(name)
        return getattr(pipeline.provider, name)


def _configure_quietly() -> None:
    try:
        configure()
    except Exception as error:
        raise_interruption(error)
        _once.error("set-up", "otel_obs could not be set up; this process runs without metrics", error=error)


def become_global() -> None:
    """Set our provider as OpenTelemetry's global one, unless the application has set one."""
    if isinstance(metrics.get_meter_provider(), DeferredProvider):
        return
    # The API now creates all instruments that were requested before; an invalid one must only be logged.
    with forgiving():
        metrics.set_meter_provider(DeferredProvider())
    if not isinstance(metrics.get_meter_provider(), DeferredProvider):
        _logger.warning(
            "the application has a meter provider of its own; what is recorded through it is not on /metrics"
        )
