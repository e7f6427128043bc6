"""The files of one run directory, as a reader knows them from scrape to scrape."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from otel_obs.cells.attributes import Attributes
from otel_obs.cells.foreign_file import RETIRED, SUFFIX
from otel_obs.cells.retire import RecordFlaws, fold
from otel_obs.cells.source import FileSource, open_file
from otel_obs.errors import NotSharedError
from otel_obs.host.pace import breathe
from otel_obs.host.signals import raise_interruption, tolerate
from otel_obs.rundir.directory import RunDir

_SKIPPED = ".skipped"
"""The ending of the mark that a file is damaged: it outlives the file, and every worker counts the same."""

_MOST_OPEN = 64
"""Files that are kept open from scrape to scrape; further ones are opened at each scrape."""

_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Temporary errors, which fail the scrape: without one worker the totals would drop, and Prometheus would
take that for a counter reset."""


class Shelf:
    """The files of one run directory.

    After an exception within a method the shelf must be discarded; a new one reads all files again.

    Args:
        run_dir: The directory.
        decoded: Decoded attributes by their encoding, shared by all sources; added to here.
    """

    def __init__(self, run_dir: RunDir, decoded: dict[bytes, Attributes]) -> None:
        self.run_dir = run_dir
        self.unsaid: list[tuple[str, str]] = []
        """Files that cannot be read, or not whole, and why; an entry is removed when it is logged."""
        self._decoded = decoded
        self._files: dict[str, FileSource] = {}
        self._retired: FileSource | None = None
        self._marks: set[str] = set()
        self._told_s: float | None = None
        """What began by then was on an earlier page, in seconds since 1970."""

    @property
    def skipped(self) -> int:
        """How many files could not be read, or not whole, since the directory was made."""
        return len(self._marks)

    def skipped_workers(self) -> list[str]:
        """The ids of the workers whose files could not be read, or not whole."""
        names = (mark.removesuffix(_SKIPPED) for mark in self._marks)
        ids = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
        return [each for each in ids if len(each) == 32 and set(each) <= set("0123456789abcdef")]

    def close(self) -> None:
        """Close all files."""
        for source in (*self._files.values(), self._retired):
            if source is not None:
                source.close()

    def read(self, own_name: str) -> list[FileSource]:
        """Read every worker's file except *own_name*."""
        try:
            every = self.run_dir.names()
        except OSError as error:
            raise_interruption(error)
            raise NotSharedError(f"{self.run_dir.path}: {error.strerror}") from error
        self._marks.update(name for name in every if name.endswith(_SKIPPED))
        names = [name for name in every if name.endswith(SUFFIX) and name != own_name]
        sources = [source for name in self._files.keys() - set(names) if (source := self._orphan(name))]
        for name in sorted(names):
            source = self._read(name)
            if source is not None:
                sources.append(source)
                # It opens itself again at the next read.
                if len(sources) > _MOST_OPEN:
                    source.close()
            breathe()
        return sources

    def _orphan(self, name: str) -> FileSource | None:
        """A removed file whose worker still records to it; None where the worker is dead or has moved."""
        source = self._files[name]
        if source.file.is_open:
            source.check_alive()
            source.refresh(self._decoded)
            if not source.is_dead and not source.is_abandoned:
                return source
        self._forget(name)
        return None

    def _read(self, name: str) -> FileSource | None:
        try:
            source = self._refreshed(name)
            # The worker may have moved to a new file of the same name: open that one.
            if source is not None and source.is_abandoned:
                self._files.pop(name).close()
                source = self._refreshed(name)
            if source is not None and source.is_abandoned:
                # The worker moved to another directory, and was killed before it could remove this file.
                if source.is_dead:
                    self.run_dir.unlink(name)
                self._forget(name)
                return None
        except FileNotFoundError:
            self._forget(name)
            return None
        except OSError as error:
            raise_interruption(error)
            if error.errno in _PASSING:
                raise NotSharedError(f"{name}: {error.strerror}") from error
            self._forget(name)
            self.skip(name, error.strerror or str(error))
            return None
        if source is None:
            self.skip(name, "its header is damaged or of another version")
        elif source.complaint:
            self.skip(name, source.complaint)
        return source

    def _forget(self, name: str) -> None:
        source = self._files.pop(name, None)
        if source is not None:
            source.close()

    def _refreshed(self, name: str) -> FileSource | None:
        source = self._files.get(name)
        # A worker that has moved may have put a new file under the same name.
        if source is not None and not source.file.is_in_place():
            self._forget(name)
            source = None
        if source is None:
            source = open_file(self.run_dir, name)
            if source is None:
                return None
            self._files[name] = source
        # Check the lock before reading: a worker that dies in between is read whole, and counts as alive.
        source.check_alive()
        source.refresh(self._decoded)
        return source

    def skip(self, name: str, reason: str) -> None:
        """Count and name what cannot be read, once in the whole service."""
        mark = name + _SKIPPED
        if mark not in self._marks:
            # The worker that makes the mark logs it; where none can be made, every worker does.
            if self.run_dir.claim(mark) or mark not in self.run_dir.names():
                self.unsaid.append((name, reason))
            self._marks.add(mark)

    def read_retired(self) -> FileSource | None:
        """Read the retired store, opened again if a fold has replaced it."""
        try:
            if self._retired is None or not self._retired.file.is_in_place():
                if self._retired is not None:
                    self._retired.close()
                    self._retired = None
                self._retired = open_file(self.run_dir, RETIRED)
            if self._retired is None:
                self.skip(RETIRED, "its header is damaged or of another version")
                return None
            # No worker owns or locks it; what is in it is of dead workers.
            self._retired.is_dead = True
            self._retired.refresh(self._decoded)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise_interruption(error)
            if error.errno in _PASSING:
                raise NotSharedError(f"{RETIRED}: {error.strerror}") from error
            self.skip(RETIRED, error.strerror or str(error))
            return None
        if self._retired.complaint:
            self.skip(RETIRED, self._retired.complaint)
        return self._retired

    def begin_page(self, until_s: float) -> None:
        """Note that a page is made, of what workers may have begun by *until_s* (seconds since 1970)."""
        self._told_s = None
        with tolerate(OSError):  # the directory is another user's, or this process has left it
            self._told_s = self.run_dir.told_s()
            self.run_dir.note_told(until_s)

    def end_page(self, unix_s: float) -> None:
        """Note that the page is complete, of what workers have begun by now."""
        with tolerate(OSError):
            self.run_dir.note_told(unix_s)

    def fold_dead(self) -> bool:
        """Fold the files of dead workers into the retired store; tells whether there were any."""
        dead = [name for name, source in self._files.items() if source.is_dead]
        self.fold(dead)
        return bool(dead)

    def fold(self, dead: Sequence[str]) -> None:
        """Fold these files, whose workers are dead."""
        if dead:
            flaws: RecordFlaws = {}
            fold(self.run_dir, dead, flaws=flaws, told_s=self._told_s)
            for name, reason in flaws.items():
                self.skip(name, reason)
