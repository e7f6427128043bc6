"""Processes of dramatiq that wait for messages, of which there are none."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.stub import StubBroker

from otel_obs import prometheus

dramatiq.set_broker(StubBroker())
jobs = prometheus.Counter("jobs", "Messages")


@dramatiq.actor
def job() -> None:
    """Count one."""
    jobs.inc()
