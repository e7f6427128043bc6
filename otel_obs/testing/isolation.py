"""A metrics pipeline for one test, which is removed completely at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from otel_obs.assembly import applications, setup
from otel_obs.errors import MeasuringError
from otel_obs.host.once import forget_everything

_OWN: Mapping[str, Any] = {
    "enabled": True,
    "metrics_exporters": ["prometheus"],
    "traces_exporters": [],
    "logs_exporters": [],
    "prometheus_port": None,
    "prometheus_host": None,
}
"""Settings that win over the environment: a test sends nothing and opens no port."""
_logger = logging.getLogger("otel_obs")


@contextmanager
def isolated(directory: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Set up a metrics pipeline for the block alone.

    Args:
        directory: Its run directory; no other process, such as a worker of pytest-xdist, joins it.
        settings: As `otel_obs.configure` takes them.

    Raises:
        MeasuringError: otel_obs logged an error, or a dropped measurement, in the block.
        SettingError: A setting has a wrong value.
    """
    setup.shutdown()
    forget_everything()
    trouble = TroubleHandler()
    _logger.addHandler(trouble)
    try:
        setup.configure(**{**_OWN, "run_dir": str(directory), **settings})
        applications.instrument_again()
        yield
    finally:
        setup.shutdown()
        _logger.removeHandler(trouble)
    trouble.raise_first()


class TroubleHandler(logging.Handler):
    """Collects log records that have to fail a test."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep errors, and warnings of measurements that are dropped."""
        if record.levelno >= logging.ERROR or "the measurement is dropped" in record.getMessage():
            self.records.append(record)

    def raise_first(self) -> None:
        """Raise if a record was collected.

        Raises:
            MeasuringError: At least one record was collected; all messages are in it.
        """
        if self.records:
            error = self.records[0].exc_info
            raise MeasuringError([record.getMessage() for record in self.records]) from (
                error[1] if error else None
            )
