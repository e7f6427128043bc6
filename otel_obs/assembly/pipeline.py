"""The pipeline of one process: from the provider's cells, merged over all workers, to an exposition."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from typing import Any, Literal, cast

from otel_obs.assembly.client_collectors import CLIENT_SCOPE, ClientCollectors
from otel_obs.assembly.client_registry import divide, stated_facts
from otel_obs.catalog.kit.label_order import DeclaredOrder
from otel_obs.catalog.kit.metric import SCOPE, STANDARD_SCOPE
from otel_obs.catalog.kit.unknown import names_without_effect
from otel_obs.cells.attributes import Attributes, canonical
from otel_obs.cells.layout import Kind, Scope, Stream
from otel_obs.cells.snapshot import Column, SeriesTable, Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.exposition import Options, family_name, negotiate, render
from otel_obs.exposition.names import Spelling, Translation
from otel_obs.exposition.plan import by_name, warn_once
from otel_obs.sdk import MeterProvider
from otel_obs.sdk.provider import SELF_SCOPE
from otel_obs.sdk.resources import INSTANCE, instance_of_service
from otel_obs.settings import Settings

ScopeLabels = Literal["auto", "on", "off"]
_DURATION_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
_PROMETHEUS_SCOPES = frozenset((SCOPE, STANDARD_SCOPE, SELF_SCOPE, CLIENT_SCOPE))
_OF_ONE_PROCESS = ("process.pid", "process.parent_pid")
"""Resource attributes that differ between workers if a detector has set them to this process's own ids."""


class Pipeline:
    """From instruments to expositions.

    Args:
        settings: The settings of the environment and of the code.
        provider: Where instruments record.
        run_dir: Returns the run directory of the service, or None where this process is alone.
        is_worker: Whether this process is to measure its scrapes.
    """

    def __init__(
        self,
        settings: Settings,
        provider: MeterProvider,
        run_dir: Any = lambda: None,
        is_worker: Callable[[], bool] = lambda: True,
    ) -> None:
        self.settings = settings
        self._is_worker = is_worker
        self.provider = provider
        self._run_dir = run_dir
        self._view = MergedView(provider.worker, run_dir)
        self._client_collectors = ClientCollectors(provider.refresh_beside)
        self._options: Options | None = None
        self._facts: dict[str, str] = {}
        self.is_taken_out: Callable[[str], bool] = lambda family: False
        """Whether the application has unregistered the collector of a standard family."""
        self._tables: dict[str, SeriesTable] = {}
        self._durations = provider.get_meter(SELF_SCOPE).create_histogram(
            "otel_obs_scrape_duration",
            "s",
            "Seconds that collecting and encoding a scrape took",
            explicit_bucket_boundaries_advisory=_DURATION_BOUNDS,
        )

    def close(self) -> None:
        """Close the files and memory maps that scrapes have opened."""
        self._view.close()

    def collect(self, accept: str | None, names: Sequence[str] = ()) -> tuple[str, Iterator[bytes]]:
        """Begin one exposition over all workers.

        Args:
            accept: The Accept header; empty or None is text 0.0.4.
            names: The families to expose; empty is all.

        Returns:
            The content type, and the body in parts of about a millisecond's work each.
        """
        syntax = negotiate(accept or None, self.settings.openmetrics2)
        return syntax.media_type, self._timed(self._chunks(syntax, names))

    def _chunks(self, syntax: Any, names: Sequence[str]) -> Iterator[bytes]:
        # Callbacks and collectors first: what they set must be in the cells when the snapshot reads them.
        # The empty chunks give the caller, which may be an event loop, a turn between the steps.
        self.provider.refresh_observables(older_than_s=self.settings.callback_age_ms / 1e3)
        yield b""
        asked = self._client_collectors.families() if self._has_registered else []
        yield b""
        snapshot, families = divide(self.snapshot())
        if syntax.syntax == "text":
            families = [_without_created(family) for family in families]
        yield b""
        others = chain(families, _unmerged(asked, snapshot))
        yield from render(snapshot, syntax, self.options, others, names or None)

    @property
    def _has_registered(self) -> bool:
        """Whether to collect from `prometheus_client`: before its import it has only what ours replace."""
        return "prometheus_client" in sys.modules or not self.settings.runtime_metrics

    def _timed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        started_s = time.perf_counter()
        yield from chunks
        # Not in a `finally`: a scrape that is given up is closed here, and has no meaningful duration.
        if self._is_worker():
            self._durations.record(time.perf_counter() - started_s)

    def metrics(self, accept: str | None = None) -> tuple[bytes, str]:
        """Encode a whole exposition; returns it and its content type without a charset."""
        media_type, chunks = self.collect(accept)
        return b"".join(chunks), media_type

    def count_workers(self) -> int:
        """Count the live workers.

        Raises:
            NotSharedError: The files of some cannot be read.
        """
        return self._view.snapshot().workers

    def fresh_snapshot(self) -> Snapshot:
        """Run this worker's callbacks, then merge the numbers of all workers."""
        self.provider.refresh_observables(older_than_s=self.settings.callback_age_ms / 1e3)
        return self.snapshot()

    def divided(self) -> tuple[Snapshot, list[Any]]:
        """A fresh snapshot, and the families of `otel_obs.prometheus` that a snapshot cannot hold."""
        return divide(self.fresh_snapshot())

    def snapshot(self) -> Snapshot:
        """The merged numbers of all workers, and the metrics of the scrape itself."""
        snapshot = self._view.snapshot()
        shown = [column for column in snapshot.columns if not self._is_taken_out(column.table.stream)]
        return snapshot._replace(columns=[*shown, *self._own_columns(snapshot)])

    def _is_taken_out(self, stream: Stream) -> bool:
        return stream.scope.name in (SCOPE, STANDARD_SCOPE) and self.is_taken_out(family_name(stream))

    @property
    def options(self) -> Options:
        """How families are named and labelled; made at the first scrape, as it detects the resource."""
        facts = stated_facts()
        if self._options is None or facts != self._facts:
            self._facts = dict(facts)
            run_dir = self._run_dir()
            if run_dir is None or run_dir.claim("names.said"):
                for line in names_without_effect(self.settings):
                    warn_once(line)
            self._options = Options(
                resource=_shared_resource(self.provider.resource, self.settings, facts),
                resource_labels=self.settings.resource_labels,
                yielding_scopes=frozenset({SCOPE}),
                scope_labels=cast("ScopeLabels", self.settings.scope_labels),
                translation=cast("Translation", self.settings.translation),
                prometheus_scopes=_PROMETHEUS_SCOPES,
                label_order=DeclaredOrder() if self.settings.label_order == "declared" else by_name,
            )
        return self._options

    def _own_columns(self, snapshot: Snapshot) -> Iterator[Column]:
        series = sum(len(column.table.attributes) for column in snapshot.columns)
        yield self._own(Kind.GAUGE, "otel_obs_series", "Series that are exposed, over all workers", series)
        yield self._own(Kind.GAUGE, "otel_obs_workers", "Live workers that have joined", snapshot.workers)
        yield self._own(
            Kind.COUNTER,
            "otel_obs_worker_files_skipped",
            "Files of workers that could not be read, or not to their end",
            snapshot.skipped,
        )

    def _own(self, kind: Kind, name: str, help: str, value: float) -> Column:
        table = self._tables.get(name)
        if table is None:
            stream = Stream(kind, name, "", help, Scope(SELF_SCOPE))
            # No start time: it would be that of the worker which happens to answer this scrape.
            table = self._tables[name] = SeriesTable(stream, [()], [inf])
        return Column(table, [float(value)], {})


def _without_created(family: Any) -> Any:
    """Leave out `_created` samples: as none of our own families has them in the text format."""
    created = f"{family.name}_created"
    if family.type in ("counter", "histogram", "summary"):
        family.samples = [sample for sample in family.samples if sample.name != created]
    return family


def _unmerged(families: list[Any], snapshot: Snapshot) -> Iterator[Any]:
    """The families of the application's collectors, except those that the snapshot has merged.

    The process and interpreter metrics of `prometheus_client` cover one worker only; ours are merged.
    """
    merged = {
        family_name(column.table.stream).removesuffix("_total")
        for column in snapshot.columns
        if column.table.stream.scope.name == STANDARD_SCOPE
    }
    # A collector may yield anything: what is no metric is found out where it is read.
    return (family for family in families if str(getattr(family, "name", "")) not in merged)


def _shared_resource(resource: Any, settings: Settings, facts: Mapping[str, str]) -> Attributes:
    """The resource without attributes that differ between workers, so that every worker answers the same."""
    chosen = settings.resource_attribute_names
    own = {str(os.getpid()), str(os.getppid())}
    shared = {
        key: value
        for key, value in resource.attributes.items()
        if key in chosen or not (key == INSTANCE or (key in _OF_ONE_PROCESS and str(value) in own))
    }
    if INSTANCE in shared:
        shared[INSTANCE] = instance_of_service(str(shared[INSTANCE]))
    known = {Spelling().label(key): key for key in shared}
    shared.update({known.get(label, label): fact for label, fact in facts.items()})
    return canonical(shared)
