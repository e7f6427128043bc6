"""What the catalog is told before the process is set up: held, and recorded then.

A process that exposes metrics is armed: its first record sets it up. One that does not may yet be set up with
options of its own, by `configure()` or `instrument()`, and has to wait for these. A process in which too much
has come together is set up as well.
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
    """Whether there will be no set-up unless somebody asks for one: it has ended, or is refused."""
    is_asking = False


def arm() -> None:
    """Have the next record set the process up, since somebody is going to expose it."""
    _Early.is_armed = True


def hold_early(action: DeferredCall) -> None:
    """Do *action* when the process is set up; never, where it is not to be."""
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
    """The process is set up: do what was held, in its order."""
    _Early.is_over = False
    while True:
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
    """Hold nothing any more: what was set up has ended, or is refused."""
    _Early.is_over = True
    _Early.held.clear()


def _set_up() -> None:
    # The composition root lies above this module; it is asked as an application would ask.
    root = import_module("otel_obs.assembly.setup")
    try:
        if root.configure() is None and not root.is_under_way():
            give_up()
    except Exception as error:
        raise_interruption(error)
        give_up()
        _logger.warning("otel_obs could not be set up; nothing is recorded", exc_info=error)


def _start_over() -> None:
    """In a child: what was held is its parent's to pass on."""
    _Early.held.clear()
    _Early.is_asking = False


forks.after_in_child(_start_over)
