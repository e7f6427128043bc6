"""Standard input and output that never end a command: closed, full, without a reader, or in ASCII."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class OutletStream(io.RawIOBase):
    """Writes to a descriptor; once the reader has gone away it drops the text: a command keeps its exit code.

    Attributes:
        problem: Why something was lost, as on a full disk; "" where nothing was, or the reader has gone away.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor, self._is_read, self.problem = descriptor, True, ""

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        """Write what can be written; return the size of what is settled."""
        if self._is_read:
            try:
                return os.write(self._descriptor, data)
            except OSError as error:
                self._is_read = False
                if not isinstance(error, BrokenPipeError):
                    self.problem = error.strerror or str(error)
        return len(data)


@contextmanager
def kept_open() -> Iterator[list[OutletStream]]:
    """Replace the standard streams in the block; what was replaced by somebody else, as in tests, stays."""
    _fill_closed()
    before = sys.stdin, sys.stdout, sys.stderr
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (open until the process ends)
    outlets = [outlet for name in ("stdout", "stderr") if (outlet := _replace(name)) is not None]
    try:
        yield outlets
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError):
                stream.flush()
        sys.stdin, sys.stdout, sys.stderr = before


def _fill_closed() -> None:
    """Open /dev/null in the place of a closed descriptor: a socket would be given its number, and output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _replace(name: str) -> OutletStream | None:
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None
    descriptor = {"stdout": 1, "stderr": 2}[name]
    if stream is not None:
        stream.flush()
    outlet = OutletStream(descriptor)
    # A character that the terminal's encoding lacks is shown by its number, and is no error.
    wrapped = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="backslashreplace",
        line_buffering=name == "stderr" or outlet.isatty(),
        write_through=name == "stderr",
    )
    setattr(sys, name, wrapped)
    return outlet
