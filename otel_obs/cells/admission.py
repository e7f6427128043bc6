"""Which series a worker may still begin: the limit of a stream holds for a service, and its whole life.

Series in the retired store count too. Series that a worker began beyond the limit would be folded into the
overflow series when it ends, and `increase()` would count them twice. So the worker does not begin them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import closing

from otel_obs.cells.foreign_file import RETIRED
from otel_obs.cells.source import open_file
from otel_obs.cells.stream import Stream
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir

_WORTH = 0.5
"""From that share of its limit on, a stream's series in the retired store are remembered one by one."""


class Admission:
    """The series that the retired stores hold of streams near their limits."""

    def __init__(self) -> None:
        self._taken: dict[Stream, frozenset[bytes]] = {}
        self._begun: dict[Stream, int] = {}
        self._known: list[tuple[int, int]] = []

    def refresh(self, run_dirs: Sequence[RunDir]) -> None:
        """Look at the retired stores, if there are others than the last time."""
        present = [identity for run_dir in run_dirs if (identity := _identity(run_dir)) is not None]
        if present == self._known:
            return
        taken: dict[Stream, frozenset[bytes]] = {}
        for run_dir in run_dirs:
            with tolerate(OSError):
                source = open_file(run_dir, RETIRED)
                if source is not None:
                    with closing(source):
                        source.refresh()
                    for stream, series in source.streams.items():
                        if len(series.offsets) >= _WORTH * source.limits[stream]:
                            taken[stream] = taken.get(stream, frozenset()) | series.offsets.keys()
        self._taken, self._begun, self._known = taken, {}, present

    def admits(self, stream: Stream, key: bytes, limit: int, own: Iterable[bytes]) -> bool:
        """Whether a worker may begin the series *key*.

        Args:
            stream: The series' stream.
            key: Its attributes.
            limit: How many series the stream may have.
            own: The series that the worker has.
        """
        taken = self._taken.get(stream)
        if taken is None or key in taken:
            return True
        begun = self._begun.get(stream)
        if begun is None:
            begun = sum(each not in taken for each in own)
        # One series of the limit is the overflow series.
        is_admitted = len(taken) + begun < limit - 1
        self._begun[stream] = begun + is_admitted
        return is_admitted


def _identity(run_dir: RunDir) -> tuple[int, int] | None:
    # A fold renames a new file into place, which has another inode or time.
    try:
        status = os.stat(RETIRED, dir_fd=run_dir.descriptor, follow_symlinks=False)
    except OSError as error:
        raise_interruption(error)
        return None
    return status.st_ino, status.st_mtime_ns
