"""The compiled fast paths of recording, where there are any: used unless `OTEL_OBS_COMPILED` is off.

They are methods that do the plain cases on the cells' memory and hand every other call to the Python function
that they stand for, which is the one definition of what happens. Without them the Python functions are the
methods.

`is_used` says whether they are in use, and `reason` why not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_obs.settings import SETTINGS, process_environment

VERSION = 2
"""That of the source, which a module that was built before a change of it does not have."""


class _Choice(NamedTuple):
    owner: type
    names: tuple[str, ...]
    python: Callable[..., Any]
    compiled: Any


recording: Any = None
"""The compiled module; None where there is none."""
is_used = False
reason = "no instrument is imported yet, or this Python has no GIL"
_choices: list[_Choice] = []
_said: bool | None = None
"""What was asked for last: whoever is imported later has more methods, and no other wish."""


def is_wanted_by_environment() -> bool:
    """What `OTEL_OBS_COMPILED` says; a text that is no switch is refused with the other settings."""
    row = next(row for row in SETTINGS if row.field == "compiled")
    text = process_environment().get(row.variable, "").strip()
    try:
        return bool(row.parser.read(text)) if text else bool(row.default)
    except ValueError:
        return bool(row.default)


def _find() -> tuple[Any, str]:
    try:
        from otel_obs.compiled import _recording
    except ImportError as error:
        return None, f"there is no compiled module for this Python: {error}"
    if _recording.VERSION != VERSION:
        return (
            None,
            f"the compiled module is of version {_recording.VERSION}, expected {VERSION}: build it anew",
        )
    return _recording, ""


def begin(variable: Any, context: type, bound: type) -> None:
    """Let the compiled paths know where a context is, and what a handle is.

    Args:
        variable: The context variable that the current context is in; anything else means no compiled paths.
        context: The class of contexts, a dictionary.
        bound: The class of bound handles.
    """
    global recording, reason
    recording, reason = _find()
    _choices.clear()
    if recording is not None:
        try:
            recording.look_at(variable, context, bound)
        except TypeError as error:
            recording, reason = None, f"the compiled module does not know OpenTelemetry's context: {error}"


def offer(owner: type, compiled: str, *names: str) -> None:
    """Have a method of *owner*, under all its names, stand for the Python function that it has now.

    Args:
        owner: The class.
        compiled: What the compiled module calls the method.
        names: What *owner* calls it.
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
    """Use the compiled paths, if there are any, or the Python functions, in the whole process.

    Args:
        is_wanted: Whether to; None goes on as was asked for last, at first as the environment says.
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
    """A table of the first cells of series by `(*keys, *values)` of their attributes."""
    return recording.Offsets() if is_used else {}
