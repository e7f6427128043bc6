"""Files of ended workers that pile up where nobody scrapes: a process for each job, which pushes.

A scrape folds what it finds. Without one, a service that starts a process for each job would fill the memory
that all services share.
"""

from __future__ import annotations

import logging

from otel_obs.cells.foreign_file import SUFFIX, ForeignFile
from otel_obs.cells.shelf import Shelf
from otel_obs.host.signals import raise_interruption
from otel_obs.rundir.directory import RunDir

_logger = logging.getLogger("otel_obs")

MOST_LEFT = 64
"""So many files may be there before a new worker looks for those of ended ones."""


def fold_piled(run_dir: RunDir) -> None:
    """Fold the files of ended workers into the retired store, where there are many; never raises.

    It runs in the middle of an application's first record.
    """
    try:
        _fold(run_dir)
    except Exception as error:
        raise_interruption(error)
        if not isinstance(error, OSError):
            _logger.warning("files of ended workers in %s are not folded", run_dir.path, exc_info=error)


def _fold(run_dir: RunDir) -> None:
    names = [name for name in run_dir.names() if name.endswith(SUFFIX)]
    if len(names) <= MOST_LEFT:
        return
    dead = [name for name in names if _is_left(run_dir, name)]
    if len(dead) > MOST_LEFT // 2:
        # What cannot be read stays, and a scrape names it.
        Shelf(run_dir, {}).fold(dead)


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
