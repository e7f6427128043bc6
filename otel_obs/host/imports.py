"""What is to be done when the application imports a module."""

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
"""What waits for each module, by tokens. A module has one hook of `wrapt`, however many wait for it."""

_hooked: set[str] = set()
_lock = RLock()
"""Nothing is called or imported under it."""


def when_imported(name: str, action: ImportAction) -> Callable[[], None]:
    """Call *action* with a module when it has been imported, or now where it has been.

    What *action* raises is logged: the application's import succeeds all the same.

    Args:
        name: The module's full name.
        action: Called at most once, by the thread that imports.

    Returns:
        Takes it back, as far as it has not happened.
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
    # Called while it registers, for a module that a thread may be in the middle of; else when it is whole.
    is_registered = False
    register_post_import_hook(lambda module: _follow(name, is_whole=is_registered), name)
    is_registered = True


def _follow(name: str, *, is_whole: bool = False) -> None:
    with _lock:
        _hooked.discard(name)
    try:
        module = import_module(name)  # another thread may be in the middle of that: this waits for its end
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
    """Whether this thread is in the middle of that, or was let through so that no two wait in a circle."""
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))


def finish_imports_of(name: str) -> None:
    """Wait for what the module *name* imports, where other threads are in the middle of importing that.

    A set-up in the middle of an application's imports may have found their modules half imported.
    """
    module = sys.modules.get(name)
    for each in [] if module is None else list(vars(module).values()):
        if isinstance(each, ModuleType) and _is_half_imported(each):
            import_module(each.__name__)


class _WatchedSpec(ModuleSpec):
    """The spec of a module that is being imported; the import system says on it when that is over."""

    def __setattr__(self, key: str, value: object) -> None:
        super().__setattr__(key, value)
        if key == "_initializing" and not value:
            # An import that failed has taken the module away by now.
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
