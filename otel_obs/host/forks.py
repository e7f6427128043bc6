"""What has to happen in a child process, also where the fork ran none of Python's hooks.

A server written in C may fork without them, as uWSGI does unless it is told otherwise, and its child
would go on writing to its parent's cells. The kernel empties a page that is marked for it in every
child; looking at a byte of that page is the cheapest way to notice.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from otel_obs.host.signals import interruption_of
from otel_obs.host.weak import weakly

_logger = logging.getLogger("otel_obs")

_WIPE_ON_FORK = 18
"""Linux' MADV_WIPEONFORK, which `mmap` has no name for."""

_PATIENCE_S = 5.0

Hook = Callable[[], object]
Undo = Callable[[], None]


class _Hooks:
    """What is called at one moment of a fork, in the order in which it was added."""

    def __init__(self) -> None:
        self._by_token: dict[object, Callable[[], None]] = {}

    def add(self, hook: Hook) -> Undo:
        """Have *hook* called from now on, a method for as long as its object lives."""
        token = object()

        def remove() -> None:
            self._by_token.pop(token, None)

        self._by_token[token] = weakly(hook, remove)
        return remove

    def present(self) -> list[Callable[[], None]]:
        """Those that are to be called."""
        return list(self._by_token.values())

    def run(self) -> None:
        """Call them; what one raises keeps no other from being called, nor the process from forking."""
        for hook in self.present():
            try:
                hook()
            except Exception as error:
                _logger.warning("otel_obs could not do what a fork needs", exc_info=error)


_before, _in_parent, _in_child = _Hooks(), _Hooks(), _Hooks()
_taken: dict[int, tuple[object, int]] = {}


class _NoticedByPid:
    """In place of the page, where the kernel does not know the mark."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def __getitem__(self, at: int) -> bool:
        return os.getpid() == self._pid

    def __setitem__(self, at: int, value: int) -> None:
        self._pid = os.getpid()


def _make_mark() -> Any:
    if hasattr(os, "fork"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if sys.platform == "linux":
                page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
                page.madvise(_WIPE_ON_FORK)
                return memoryview(page)
        return _NoticedByPid()
    return bytearray(1)


_mark: Any = _make_mark()
_mark[0] = 1


def after_in_child(hook: Hook) -> Undo:
    """Have *hook* called in every child, before anything of ours is used there.

    Args:
        hook: A function, or a method: that is called for as long as its object lives.

    Returns:
        Takes it back.
    """
    return _in_child.add(hook)


def before(hook: Hook) -> Undo:
    """Have *hook* called before a fork, where that runs Python's hooks. Otherwise as `after_in_child`."""
    return _before.add(hook)


def after_in_parent(hook: Hook) -> Undo:
    """Have *hook* called after a fork, where that runs Python's hooks. Otherwise as `after_in_child`."""
    return _in_parent.add(hook)


def check() -> None:
    """See whether this process is a child whose fork ran no hooks, and run ours then."""
    if not _mark[0]:
        _catch_up()


def waits_for_fork() -> bool:
    """Whether this process must not have threads yet: it is uWSGI's master, and forks as it pleases.

    What was to begin begins in `after_in_child`, which is called right after the fork, too.
    """
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.masterpid() != os.getpid():
        return False
    present: Any = getattr(uwsgi, "post_fork_hook", None)
    decorators: Any = sys.modules.get("uwsgidecorators")
    if decorators is not None:
        if check not in decorators.postfork_chain:
            decorators.postfork_chain.append(check)
    elif not hasattr(present, "is_of_otel_obs"):
        uwsgi.post_fork_hook = _followed_by_check(present)
    return True


def _followed_by_check(present: Callable[[], object] | None) -> Callable[[], None]:
    def hook() -> None:
        if present is not None:
            present()
        check()

    hook.is_of_otel_obs = True  # type: ignore[attr-defined]
    return hook


def _catch_up() -> None:
    token: object = object()
    owner, thread = _taken.setdefault(os.getpid(), (token, get_ident()))
    if owner is token:
        _run_hooks()
    elif thread != get_ident():
        deadline_s = time.monotonic() + _PATIENCE_S
        while not _mark[0] and time.monotonic() < deadline_s:
            time.sleep(0.001)


def _run_hooks() -> None:
    interruption: BaseException | None = None
    left = _in_child.present()
    while left:
        try:
            left[0]()
        except Exception as error:
            found = interruption_of(error)
            if found is not None:
                # A child that goes on with half of its parent's state would be worse than one that is late.
                interruption = found
                continue
            _logger.exception("otel_obs could not start over in a child process")
        del left[0]
    # In this order: a thread that comes in between finds either the mark or who is at it.
    _mark[0] = 1
    _taken.clear()
    if interruption is not None:
        raise interruption


if hasattr(os, "register_at_fork"):
    # The only registration: it can never be taken back, and a server in C runs none.
    os.register_at_fork(before=_before.run, after_in_parent=_in_parent.run, after_in_child=_run_hooks)
