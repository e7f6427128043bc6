"""What is to be done when the application imports a module."""

from __future__ import annotations

import logging
import sys
from _thread import RLock
from collections.abc import Callable
from importlib import import_module
from typing import Any

from otel_obs.host import forks
from otel_obs.host.signals import raise_interruption

_logger = logging.getLogger("otel_obs")

Action = Callable[[Any], object]

_waiting: dict[str, dict[object, Action]] = {}
"""What waits for each module, by tokens. A module has one hook of `wrapt`, however many wait for it."""

_hooked: set[str] = set()
_lock = RLock()
"""Nothing is called or imported under it."""


def when_imported(name: str, action: Action) -> Callable[[], None]:
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
        # Imported here, since most processes never wait for a module.
        from wrapt import register_post_import_hook

        register_post_import_hook(lambda module: _follow(name), name)

    def take_back() -> None:
        with _lock:
            _waiting.get(name, {}).pop(token, None)

    return take_back


def _follow(name: str) -> None:
    with _lock:
        _hooked.discard(name)
    try:
        module = import_module(name)  # another thread may be in the middle of that: this waits for its end
    except ImportError:
        return
    while (action := _next(name)) is not None:
        try:
            action(module)
        except Exception as error:
            raise_interruption(error)
            _logger.warning("otel_obs could not follow the import of %s", name, exc_info=error)


def _next(name: str) -> Action | None:
    with _lock:
        actions = _waiting.get(name)
        return actions.pop(next(iter(actions))) if actions else None


def _start_over() -> None:
    global _lock
    _lock = RLock()


forks.after_in_child(_start_over)
