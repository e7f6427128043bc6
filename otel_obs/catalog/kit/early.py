"""Measurements that arrive before the process is set up: they are held, and recorded after the set-up.

A process that is going to expose metrics is armed: its first measurement sets it up. A process that is not
armed waits, since the application may still call `configure()` or `instrument()` with options of its own.
More than `MOST_HELD` measurements set it up as well, so that memory is bounded.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from importlib import import_module
from typing import ClassVar

from otel_obs.host import forks
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

MOST_HELD = 10_000

DeferredCall = Callable[[], object]


class _Early:
    held: ClassVar[deque[DeferredCall]] = deque()
    is_armed = False
    is_over = False
    """Whether the set-up has ended or was refused: only an explicit `configure()` starts another one."""
    is_asking = False
    """Whether a set-up is under way: what it records itself must not start a second one."""


def arm() -> None:
    """Let the next measurement set the process up, since this process is going to expose metrics.

    A known server sets it up as it begins to serve, if nothing has by then.
    """
    _Early.is_armed = True
    try:
        import_module("otel_obs.assembly.joining").watch()
    except Exception as error:
        raise_interruption(error)
        _logger.warning("this process joins its service at its first record only", exc_info=error)


def hold_early(action: DeferredCall) -> None:
    """Run *action* when the process is set up; drop it where the set-up has ended or was refused."""
    forks.check()
    if _Early.is_over:
        return
    _Early.held.append(action)
    if (_Early.is_armed or len(_Early.held) > MOST_HELD) and not _Early.is_asking:
        _Early.is_asking = True
        try:
            _set_up()
        finally:
            _Early.is_asking = False


def pass_on() -> None:
    """The process is set up: run the held actions in their order."""
    _Early.is_over = False
    while True:
        # Several threads may drain the queue: `popleft` is atomic, so each action runs once.
        try:
            action = _Early.held.popleft()
        except IndexError:
            return
        try:
            action()
        except Exception as error:
            raise_interruption(error)
            _logger.warning("what was recorded before the set-up is lost", exc_info=error)


def give_up() -> None:
    """Drop what is held and hold nothing any more: the set-up has ended, or was refused."""
    _Early.is_over = True
    _Early.held.clear()


def _set_up() -> None:
    # The composition root is a higher layer, which this module must not import at the top; call it by name,
    # with the defaults that an application's `configure()` has.
    root = import_module("otel_obs.assembly.setup")
    try:
        if root.configure() is None and not root.is_under_way():
            give_up()
    except Exception as error:
        raise_interruption(error)
        give_up()
        _logger.warning("otel_obs could not be set up; nothing is recorded", exc_info=error)


def _start_over() -> None:
    """In a forked child: drop what is held, which the parent records itself."""
    _Early.held.clear()
    _Early.is_asking = False


forks.after_in_child(_start_over)
