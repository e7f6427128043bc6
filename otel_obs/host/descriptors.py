"""Descriptors that belong to somebody from the moment they are opened, whatever exception comes.

A signal handler may raise between any two calls, so also between the one that opens a file and the one that
stores its number. Nobody could close that file then, and a lock of it would stay until the process ends. So
the number goes into a place that is known before, within one call in C: no handler comes in the middle of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import starmap
from types import TracebackType
from typing import Any

from otel_obs.host.signals import raise_interruption, tolerate

try:
    import fcntl as _fcntl

    fcntl: Any = _fcntl
except ImportError:  # Windows
    fcntl = None

_HIGHEST_STANDARD = 2


class _OpenNumbers(weakref.ref["Descriptor"]):
    """What a `Descriptor` has open, which is known also when it is gone."""

    __slots__ = ("numbers", "opened")
    numbers: list[int]
    opened: os.stat_result | None


_every: dict[int, _OpenNumbers] = {}
"""By their `id`. They have to outlive the descriptors, or nobody would be told of the end of these."""

_lost: deque[_OpenNumbers] = deque()


class Descriptor:
    """An open file, closed by `close`, by a `with` block, or by `close_lost` when nobody has it any more.

    No Python code runs where it dies: the interpreter swallows what a signal handler raises there.

    Args:
        opening: A function in C that opens something and returns its number, as `os.open` does.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        OSError: It cannot be opened.
    """

    __slots__ = ("__weakref__", "_held")

    def __init__(self, opening: Callable[..., int], *args: Any, **kwargs: Any) -> None:
        close_lost()
        held = self._held = _OpenNumbers(self, _lost.append)
        held.numbers, held.opened = [], None
        _every[id(held)] = held
        # `extend` runs the call and stores its result; no bytecode lies between.
        held.numbers.extend(starmap(partial(opening, **kwargs), (args,)))
        held.opened = os.fstat(self.number)

    @property
    def number(self) -> int:
        """Its number.

        Raises:
            OSError: It is closed.
        """
        for number in self._held.numbers:
            return number
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    @property
    def opened(self) -> os.stat_result:
        """The status of the file when it was opened."""
        opened = self._held.opened
        assert opened is not None
        return opened

    def is_intact(self) -> bool:
        """Whether it is still open: a daemon may close any descriptor, and the number may be reused."""
        return _is_intact(self._held)

    def above_standard(self) -> Descriptor:
        """Give it a number above those of the standard streams, which others write to and replace.

        A process that was started without them would get these numbers from the kernel, as the lowest that
        are free. Locks of the file stay.

        Raises:
            OSError: No descriptor is left; this one is closed.
        """
        numbers = self._held.numbers
        if fcntl is not None and self.number <= _HIGHEST_STANDARD:
            try:
                duplicate = (self.number, fcntl.F_DUPFD_CLOEXEC, _HIGHEST_STANDARD + 1)
                numbers.extend(starmap(fcntl.fcntl, (duplicate,)))
            except OSError:
                self.close()
                raise
            numbers.reverse()
            _close_last(numbers)
        return self

    def close(self) -> None:
        """Close the file, if it is still the one that was opened."""
        _close(self._held)

    def __enter__(self) -> int:
        return self.number

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def close_lost() -> None:
    """Close what exceptions of signal handlers have left without an owner."""
    while _lost:
        with contextlib.suppress(IndexError, ValueError):  # another thread was first
            held = _lost[0]
            _close(held)
            _lost.remove(held)


def _close(held: _OpenNumbers) -> None:
    while held.numbers:
        with tolerate(OSError, IndexError):  # a signal handler, or another thread, was first
            if _is_intact(held):
                _close_last(held.numbers)
            else:
                held.numbers.pop()
    _every.pop(id(held), None)


def _close_last(numbers: list[int]) -> None:
    # Taken out and closed within one call in C: a number that is closed twice may be another file's by then.
    next(map(os.close, iter(numbers.pop, None)))


def _is_intact(held: _OpenNumbers) -> bool:
    if held.opened is None:  # opened a moment ago
        return bool(held.numbers)
    try:
        return os.path.samestat(os.fstat(held.numbers[-1]), held.opened)
    except (OSError, IndexError) as error:
        raise_interruption(error)
        return False


@contextlib.contextmanager
def standard_taken() -> Iterator[None]:
    """Keep the numbers of the standard streams from what opens descriptors within, as a memory map does."""
    taken: list[Descriptor] = []
    try:
        with tolerate(OSError):
            while not taken or taken[-1].number <= _HIGHEST_STANDARD:
                taken.append(Descriptor(os.open, os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)))
        yield
    finally:
        for descriptor in taken:
            descriptor.close()
