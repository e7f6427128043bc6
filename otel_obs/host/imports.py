"""Actions that run when the application imports a module."""

from __future__ import annotations

import logging
import sys
from _thread import RLock
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from otel_obs.host import forks
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

ImportAction = Callable[[Any], object]

_waiting: dict[str, dict[object, ImportAction]] = {}
"""The actions that wait for each module, by tokens. All of a module share one hook of `wrapt`."""

_hooked: set[str] = set()
_lock = RLock()
"""No action and no import runs under it, so that it cannot deadlock with the locks of the import system."""


def when_imported(name: str, action: ImportAction) -> Callable[[], None]:
    """Call *action* with a module when it has been imported, or now where it has been.

    An exception of *action* is logged, and does not fail the application's import.

    Args:
        name: The module's full name.
        action: Called at most once, by the thread that imports.

    Returns:
        A function that cancels the action, if it has not run yet.
    """
    token = object()
    with _lock:
        _waiting.setdefault(name, {})[token] = action
        is_first = name not in _hooked
        _hooked.add(name)
    if name in sys.modules:
        _follow(name)
    elif is_first:
        _wait_for(name)

    def take_back() -> None:
        with _lock:
            _waiting.get(name, {}).pop(token, None)

    return take_back


def _wait_for(name: str) -> None:
    # Imported here, since most processes never wait for a module.
    from wrapt import register_post_import_hook

    with _lock:
        _hooked.add(name)
    # `wrapt` calls the hook while it is registered if the module is in `sys.modules`, perhaps half imported;
    # otherwise when the import is complete.
    is_registered = False
    register_post_import_hook(lambda module: _follow(name, is_whole=is_registered), name)
    is_registered = True


def _follow(name: str, *, is_whole: bool = False) -> None:
    with _lock:
        _hooked.discard(name)
    try:
        module = import_module(name)  # waits for another thread that is importing it
    except ImportError:
        return
    if not is_whole and _is_half_imported(module):
        _follow_at_its_end(module, name)
        return
    while (action := _next(name)) is not None:
        try:
            action(module)
        except Exception as error:
            raise_interruption(error)
            _logger.warning("otel_obs could not follow the import of %s", name, exc_info=error)


def _is_half_imported(module: Any) -> bool:
    """Whether its import is under way: on this thread, or on one whose wait would have been a deadlock."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def finish_imports_of(name: str) -> None:
    """Wait for other threads that are importing modules which the module *name* imports.

    A set-up in the middle of an application's imports may have found their modules half imported.
    """
    module = sys.modules.get(name)
    for each in [] if module is None else list(vars(module).values()):
        if isinstance(each, ModuleType) and _is_half_imported(each):
            import_module(each.__name__)


class _WatchedSpec(ModuleSpec):
    """The spec of a module that is being imported: importlib clears `_initializing` on it at the end."""

    def __setattr__(self, key: str, value: object) -> None:
        super().__setattr__(key, value)
        if key == "_initializing" and not value:
            # A failed import has removed the module from `sys.modules` by now: wait for the next one.
            if self.name in sys.modules:
                _follow(self.name)
            else:
                _wait_for(self.name)


def _follow_at_its_end(module: Any, name: str) -> None:
    spec = module.__spec__
    if isinstance(spec, _WatchedSpec):
        return
    if type(spec) is ModuleSpec:
        spec.__class__ = _WatchedSpec
    if not _is_half_imported(module):  # it ended in between
        _follow(name)


def _next(name: str) -> ImportAction | None:
    with _lock:
        actions = _waiting.get(name)
        return actions.pop(next(iter(actions))) if actions else None


def _start_over() -> None:
    global _lock
    _lock = RLock()


forks.after_in_child(_start_over)
