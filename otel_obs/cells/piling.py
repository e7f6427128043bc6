"""Files of ended workers that pile up where nobody scrapes: a process for each job, which pushes.

A scrape folds what it finds. Without one, a service that starts a process for each job would fill the memory
that all services share.
"""

from __future__ import annotations

import logging

from otel_obs.cells.foreign_file import SUFFIX, ForeignFile
from otel_obs.cells.shelf import Shelf
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir

_logger = logging.getLogger("otel_obs")

MOST_LEFT = 64
"""So many files may be there before a new worker looks for those of ended ones."""


def fold_piled(run_dir: RunDir) -> None:
    """Fold the files of ended workers into the retired store, where there are many."""
    with tolerate(OSError):
        names = [name for name in run_dir.names() if name.endswith(SUFFIX)]
        if len(names) <= MOST_LEFT:
            return
        dead = [name for name in names if _is_left(run_dir, name)]
        if len(dead) > MOST_LEFT // 2:
            shelf = Shelf(run_dir, {})
            shelf.fold(dead)
            for name, reason in shelf.unsaid:
                _logger.warning("skipped what cannot be read of worker file %s: %s", name, reason)


def _is_left(run_dir: RunDir, name: str) -> bool:
    """Whether its worker has ended."""
    try:
        file = ForeignFile(run_dir, name)
    except OSError as error:
        raise_interruption(error)
        return False
    try:
        return file.is_unlocked()
    finally:
        file.close()
