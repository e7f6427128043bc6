"""The compiled fast paths of recording. They are used if they are built, unless `OTEL_OBS_COMPILED` is off.

A compiled method handles the simple cases directly in the memory of the cells, and passes every other call
to the Python function that it replaces. That function defines the behaviour; without the compiled module it
is the method itself.

`is_used` says whether the compiled methods are in use, and `reason` why not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple

from otel_obs.settings import SETTINGS, process_environment

VERSION = 4
"""The version of the C source. A compiled module with another one was built from an older source."""


class _Choice(NamedTuple):
    owner: type
    names: tuple[str, ...]
    python: Callable[..., Any]
    compiled: Any


recording: Any = None
"""The compiled module; None where there is none."""
is_used = False
reason = "no instrument is imported yet"
_choices: list[_Choice] = []
_said: bool | None = None
"""The last explicit choice. It also applies to methods that modules offer later, when they are imported."""


def is_wanted_by_environment() -> bool:
    """The value of `OTEL_OBS_COMPILED`; the default for an invalid one, which the settings report."""
    row = next(row for row in SETTINGS if row.field == "compiled")
    text = process_environment().get(row.variable, "").strip()
    try:
        return bool(row.parser.read(text)) if text else bool(row.default)
    except ValueError:
        return bool(row.default)


def _find() -> tuple[Any, str]:
    try:
        from otel_obs.compiled import _recording
    except (ImportError, SystemError) as error:
        return None, f"there is no compiled module for this Python: {error}"
    version = getattr(_recording, "VERSION", None)
    if version != VERSION:
        return None, f"the compiled module is of version {version}, expected {VERSION}: build it anew"
    if not getattr(sys, "_is_gil_enabled", lambda: True)() and not hasattr(_recording, "RecordingLock"):
        return None, "the compiled module was built for a Python with the GIL"
    return _recording, ""


def recording_lock() -> Any:
    """The lock that keeps out compiled recordings where there is no GIL; None if there is none."""
    kind = getattr(_find()[0], "RecordingLock", None)
    return None if kind is None else kind()


def begin(variable: Any, context: type, bound: type) -> None:
    """Tell the compiled module where the current context is, and what class handles have.

    Args:
        variable: The context variable that holds the current context; any other type disables the compiled
            methods.
        context: The class of contexts, a dictionary.
        bound: The class of bound handles.
    """
    global recording, reason
    recording, reason = _find()
    _choices.clear()
    if recording is not None:
        try:
            recording.look_at(variable, context, bound, _is_empty_by_default(variable, context))
        except TypeError as error:
            recording, reason = None, f"the compiled module cannot be used: {error}"


def _is_empty_by_default(variable: Any, context: type) -> bool:
    """Whether code that has never set a context variable is in an empty context."""
    try:
        default = Context().run(variable.get)
    except (AttributeError, LookupError):
        return False
    return type(default) is context and not default


def offer(owner: type, compiled: str, *names: str) -> None:
    """Make a compiled method that can replace a Python method of *owner*; `choose` puts it in place.

    Args:
        owner: The class.
        compiled: The name of the method in the compiled module.
        names: All names of the method in *owner*.
    """
    global recording, reason
    if recording is None:
        return
    function = vars(owner)[names[0]]
    try:
        method = recording.make_method(owner, compiled, function)
    except TypeError as error:
        _use(False)
        recording, reason = None, f"the compiled module does not know {owner.__name__}: {error}"
        return
    _choices.append(_Choice(owner, names, function, method))


def choose(is_wanted: bool | None = None) -> None:
    """Use the compiled methods, if there are any, or the Python functions, in the whole process.

    Args:
        is_wanted: Whether to use them; None keeps the last choice, at first that of the environment.
    """
    global reason, _said
    if is_wanted is None:
        is_wanted = is_wanted_by_environment() if _said is None else _said
    else:
        _said = is_wanted
    _use(is_wanted)
    if recording is not None:
        reason = "" if is_wanted else "OTEL_OBS_COMPILED is off"


def _use(is_wanted: bool) -> None:
    global is_used
    for owner, names, python, compiled in _choices:
        for name in names:
            setattr(owner, name, compiled if is_wanted else python)
    is_used = is_wanted and recording is not None


def new_offsets() -> Any:
    """A table from `(*keys, *values)` of a series' attributes to the offset of its first cell."""
    return recording.Offsets() if is_used else {}


def pauses(append: Callable[[tuple[int, float]], object]) -> Callable[[str, dict[str, int]], None] | None:
    """Make a callback of the garbage collector that runs no Python code; None without the compiled module.

    Args:
        append: Takes the generation and the seconds of each collection.
    """
    kind = getattr(recording, "Pauses", None) if is_used else None
    return None if kind is None else kind(append)
