"""Descriptors that stay open: never the numbers of the standard streams, which others write to and replace.

A process that was started without them would get these numbers from the kernel, as the lowest that are free.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HIGHEST_STANDARD = 2


def above_standard(descriptor: int) -> int:
    """The same open file under a number above those of the standard streams; locks of it stay.

    Raises:
        OSError: No descriptor is left; the given one is closed.
    """
    if descriptor > _HIGHEST_STANDARD or fcntl is None:
        return descriptor
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGHEST_STANDARD + 1)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def standard_taken() -> Iterator[None]:
    """Keep those numbers from what opens descriptors within, as a memory map does."""
    taken = []
    try:
        with contextlib.suppress(OSError):
            while (descriptor := os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))) >= 0:
                taken.append(descriptor)
                if descriptor > _HIGHEST_STANDARD:
                    break
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
