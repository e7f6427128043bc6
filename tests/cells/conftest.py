"""Workers of one service in one process: each with a store of its own in a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from otel_obs.cells.attributes import canonical, encode_attributes
from otel_obs.cells.layout import Stream
from otel_obs.cells.membership import Service
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.store import Store
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.rundir.directory import RunDir

NONCE = "0123456789abcdef"


class Fleet:
    """A service whose workers all live in this process, and are read from a further one."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.service = Service([str(base)], NONCE)
        self.stores: list[Store] = []
        self.reader = Worker(self.service.open_store, self.service)
        self.view = MergedView(self.reader, self.service.run_dir)

    @property
    def run_dir(self) -> RunDir:
        run_dir = self.service.run_dir()
        assert run_dir is not None
        return run_dir

    def worker(self) -> Store:
        """The store of another live worker."""
        store = self.service.open_store((len(self.stores) + 1).to_bytes(16, "little"))
        self.stores.append(store)
        return store

    def die(self, store: Store) -> None:
        """Let the lock of a worker go, as its end does."""
        store.discard()

    def snapshot(self) -> Snapshot:
        return self.view.snapshot()

    def values(self) -> dict[str, dict[tuple[object, ...], object]]:
        """Every stream's merged values, by name and attributes."""
        return {
            column.table.stream.name: dict(zip(column.table.attributes, column.values, strict=True))
            for column in self.snapshot().columns
        }


def record(
    store: Store, stream: Stream, cells: Sequence[float], created_s: float = 1.0, **attributes: str
) -> int:
    """Give a store a series that holds *cells*."""
    key = encode_attributes(canonical(attributes))
    return store.add_series(stream, key, created_s, [*cells, *stream.initial_cells[len(cells) :]])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    for store in fleet.stores:
        store.discard()
    fleet.run_dir.close()
