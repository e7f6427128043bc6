"""Celery tasks that count, with directories for a broker."""

from __future__ import annotations

import os

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

DIRECTORY = os.environ["CELERY_DIRECTORY"]

celery = Celery("tasks", broker="filesystem://", backend=f"file://{DIRECTORY}/done")
celery.conf.broker_transport_options = {
    "data_folder_in": f"{DIRECTORY}/queue",
    "data_folder_out": f"{DIRECTORY}/queue",
    "control_folder": f"{DIRECTORY}/control",
}
celery.conf.worker_prefetch_multiplier = 1


@celery.task(name="hit")  # type: ignore[untyped-decorator]
def hit() -> str:
    """Count one."""
    from tests.faults.apps import hurt

    return hurt.hit()


@celery.task(name="overrun", soft_time_limit=1, time_limit=20)  # type: ignore[untyped-decorator]
def overrun() -> str:
    """Record one new series after another until the time is over."""
    from opentelemetry import metrics

    number = 0
    try:
        many = metrics.get_meter("tasks").create_counter("many")  # the first of a process sets everything up
        while True:
            number += 1
            many.add(1, {"number": str(number % 1500)})
    except SoftTimeLimitExceeded:
        return "in time"


@celery.task(name="tell")  # type: ignore[untyped-decorator]
def tell() -> str:
    """What all workers have counted."""
    import otel_obs

    return otel_obs.get_metrics()[0].decode()
