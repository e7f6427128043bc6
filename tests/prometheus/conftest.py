from __future__ import annotations

from collections.abc import Iterator

import pytest

from otel_obs import prometheus
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.exposition import Options
from otel_obs.sdk import MeterProvider


class Alone:
    """What `otel_obs.configure` would set up, in this process's own memory and with nothing measured."""

    def __init__(self, **options: object) -> None:
        self.provider = MeterProvider(shutdown_on_exit=False, **options)  # type: ignore[arg-type]
        self.options = Options(has_target_info=False)
        self._view = MergedView(self.provider.worker)

    def snapshot(self) -> Snapshot:
        return self._view.snapshot()


@pytest.fixture(autouse=True)
def service() -> Iterator[Alone]:
    """Where the metrics of a test record; its default registry is as it was, after the test."""
    prometheus.stand_aside()  # whatever another file's tests have left on
    kept = list(prometheus.REGISTRY._collector_to_names)
    alone = Alone()
    prometheus.install(alone)
    yield alone
    for collector in list(prometheus.REGISTRY._collector_to_names):
        if collector not in kept:
            prometheus.REGISTRY.unregister(collector)
    prometheus.uninstall()
