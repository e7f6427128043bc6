"""Functions that run around forks, in a child also where the fork ran none of Python's hooks.

A server written in C may fork without them, as uWSGI does by default, and its child would go on writing to
its parent's cells. The kernel zeroes a page with MADV_WIPEONFORK in every child: a look at one byte of such
a page is the cheapest way to notice.
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
from functools import partial
from typing import Any

from otel_obs.host.masters import is_master_of_uwsgi
from otel_obs.host.signals import interruption_of
from otel_obs.host.weak import weakly

_logger = logging.getLogger("otel_obs")

_WIPE_ON_FORK = 18
"""Linux' MADV_WIPEONFORK, which `mmap` has no name for."""

_PATIENCE_S = 5.0
"""How long a thread of a child waits for the thread that runs the hooks there."""

Hook = Callable[[], object]
Undo = Callable[[], None]


class _Hooks:
    """The hooks of one moment of a fork, called in the order in which they were added."""

    def __init__(self) -> None:
        self._by_token: dict[object, Callable[[], None]] = {}

    def add(self, hook: Hook) -> Undo:
        """Have *hook* called from now on, a method for as long as its object lives."""
        token = object()
        remove: Callable[..., object] = partial(self._by_token.pop, token)
        self._by_token[token] = weakly(hook, remove)

        def undo() -> None:
            remove(None)

        return undo

    def present(self) -> list[Callable[[], None]]:
        """The hooks that are to be called."""
        return list(self._by_token.values())

    def run(self) -> None:
        """Call the hooks. An exception of one is logged; the others are called, and the process forks."""
        for hook in self.present():
            try:
                hook()
            except Exception as error:
                _logger.warning("otel_obs could not do what a fork needs", exc_info=error)


_before, _in_parent, _in_child = _Hooks(), _Hooks(), _Hooks()
_of_uwsgi = _Hooks()
_taken: dict[int, tuple[object, int]] = {}
"""By the pid of a child: a token of the call that runs the hooks there, and its thread."""


class _NoticedByPid:
    """Takes the place of the page where the kernel cannot zero it: compares pids."""

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
        A function that takes the hook back.
    """
    return _in_child.add(hook)


def before(hook: Hook) -> Undo:
    """Have *hook* called before a fork, where that runs Python's hooks. Otherwise as `after_in_child`."""
    return _before.add(hook)


def after_in_parent(hook: Hook) -> Undo:
    """Have *hook* called after a fork, where that runs Python's hooks. Otherwise as `after_in_child`."""
    return _in_parent.add(hook)


def check() -> None:
    """Run our hooks, if this process is a child whose fork ran none."""
    if not _mark[0]:
        _catch_up()


def waits_for_fork() -> bool:
    """Whether this process must not have threads yet: it is uWSGI's master, which forks at any time.

    A thread that was to begin here begins in a hook of `after_in_child`: this has uWSGI call `check` after a
    fork.
    """
    if not is_master_of_uwsgi():
        return False
    follow_uwsgi()
    return True


def after_fork_of_uwsgi(hook: Hook) -> Undo:
    """Have *hook* called in every process that uWSGI forks, after the hooks of `after_in_child`."""
    undo = _of_uwsgi.add(hook)
    follow_uwsgi()
    return undo


def follow_uwsgi() -> None:
    """Have uWSGI call our hooks after a fork; `uwsgidecorators` replaces what is set before its import."""
    uwsgi: Any = sys.modules.get("uwsgi")
    if uwsgi is None:
        return
    present: Any = getattr(uwsgi, "post_fork_hook", None)
    decorators: Any = sys.modules.get("uwsgidecorators")
    if decorators is not None and hasattr(decorators, "postfork_chain"):
        if _after_fork_of_uwsgi not in decorators.postfork_chain:
            decorators.postfork_chain.append(_after_fork_of_uwsgi)
    elif not hasattr(present, "is_of_otel_obs"):
        uwsgi.post_fork_hook = _followed_by_ours(present)


def _followed_by_ours(present: Callable[[], object] | None) -> Callable[[], None]:
    def hook() -> None:
        if present is not None:
            present()
        _after_fork_of_uwsgi()

    hook.is_of_otel_obs = True  # type: ignore[attr-defined]
    return hook


def _after_fork_of_uwsgi() -> None:
    check()
    _of_uwsgi.run()


def _catch_up() -> None:
    # One thread runs the hooks, the others wait for it: `setdefault` is one step. That thread may come here
    # again from within a hook, and must not wait for itself.
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
                # Run the hook again, and raise later: a child with half of its parent's state is worse than
                # one that is late.
                interruption = found
                continue
            _logger.exception("otel_obs could not start over in a child process")
        del left[0]
    # In this order: a thread that comes in between finds the mark, or the thread that runs the hooks.
    _mark[0] = 1
    _taken.clear()
    if interruption is not None:
        raise interruption


if hasattr(os, "register_at_fork"):
    # The only one with Python, which can never be taken back. A fork in C does not run it: see `check`.
    os.register_at_fork(before=_before.run, after_in_parent=_in_parent.run, after_in_child=_run_hooks)
