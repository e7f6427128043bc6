"""How long a block or a call took: `Timer` and `track_time`, and the wrapping that other decorators share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from otel_obs.errors import not_a_timer

P = ParamSpec("P")
R = TypeVar("R")
Labels = Mapping[str, Any]
Record = Callable[[float], object]


class Timer:
    """Times a block, in a `with` or an `async with`, and records the seconds also where it raises.

    One timer times one block at a time.

    Args:
        instrument: A histogram or gauge in seconds: of the catalog, of OpenTelemetry, of
            `otel_obs.prometheus` or of `prometheus_client`.
        labels: The attributes to record with.

    Raises:
        DeclarationError: The instrument cannot take a duration, or does not declare the labels.
    """

    __slots__ = ("_record", "_started", "elapsed_s")

    def __init__(self, instrument: Any, labels: Labels | None = None) -> None:
        self._record = recorder(instrument, labels)
        self._started = 0.0
        self.elapsed_s = 0.0

    def __enter__(self) -> Timer:
        self._started = perf_counter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.elapsed_s = perf_counter() - self._started
        self._record(self.elapsed_s)

    async def __aenter__(self) -> Timer:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)


class _Timing(Timer):
    """A timer that is told how to record."""

    __slots__ = ()

    def __init__(self, record: Record) -> None:
        self._record = record
        self._started = 0.0
        self.elapsed_s = 0.0


def recorder(instrument: Any, labels: Labels | None = None) -> Record:
    """How to give *instrument* a value for *labels*.

    Raises:
        DeclarationError: The instrument cannot take a value, or does not declare the labels.
    """
    if hasattr(instrument, "bind"):
        target = instrument.bind(labels)
    elif hasattr(instrument, "labels") and labels:
        target = instrument.labels(**labels)
    else:
        target = instrument
    for verb in ("record", "observe", "set"):
        record = getattr(target, verb, None)
        if record is None:
            continue
        if target is instrument and labels:
            return lambda value: record(value, labels)
        # Looked up at each use: a handle of the catalog replaces its methods.
        return lambda value: getattr(target, verb)(value)
    raise not_a_timer(instrument)


def track_time(
    instrument: Any, labels: Labels | Callable[..., Labels] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, coroutine function, generator or async generator to record its seconds.

    A generator is timed from its first step to its end.

    Args:
        instrument: As of `Timer`.
        labels: The attributes, or a function that makes them from the arguments of the call.

    Returns:
        A decorator that keeps the signature.

    Raises:
        DeclarationError: As of `Timer`; with a function for labels, only what can be known before a call.
    """
    if callable(labels):
        recorder(instrument)
        compute = labels

        def late(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Timer:
            return _Timing(_computed(instrument, compute, args, kwargs))

        return lambda function: wrap(function, late)

    record = recorder(instrument, labels)
    return lambda function: wrap(function, lambda args, kwargs: _Timing(record))


def _computed(
    instrument: Any, compute: Callable[..., Labels], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Record:
    try:
        return recorder(instrument, compute(*args, **kwargs))
    except Exception as error:
        refuse(instrument, error)
        return lambda value: None


def refuse(instrument: Any, error: Exception) -> None:
    """Count what cannot be recorded, where *instrument* can count it."""
    drop = getattr(instrument, "drop", None)
    if drop is not None:
        drop("attributes", str(error))


def wrap(
    function: Callable[P, R],
    around: Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[Any]],
) -> Callable[P, R]:
    """Run every call of *function*, of whatever sort, inside of what *around* makes from its arguments.

    Args:
        function: A function, coroutine function, generator function or async generator function.
        around: Gives a context manager for one call, which must not raise of its own.

    Returns:
        A function of the same sort and signature.
    """
    called = cast("Callable[..., Any]", function)
    wrapper: Callable[..., Any]
    if _is(inspect.iscoroutinefunction, called):

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            with around(args, kwargs):
                return await called(*args, **kwargs)

        wrapper = coroutine
    elif _is(inspect.isasyncgenfunction, called):

        async def async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            with around(args, kwargs):
                inner = called(*args, **kwargs)
                try:
                    item = await inner.__anext__()
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            item = await inner.athrow(error)
                        else:
                            item = await inner.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

        wrapper = async_generator
    elif _is(inspect.isgeneratorfunction, called):

        def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with around(args, kwargs):
                return (yield from called(*args, **kwargs))

        wrapper = generator
    else:

        def plain(*args: Any, **kwargs: Any) -> Any:
            with around(args, kwargs):
                return called(*args, **kwargs)

        wrapper = plain
    return functools.update_wrapper(wrapper, called)


def _is(kind: Callable[[Any], bool], function: Callable[..., Any]) -> bool:
    return kind(function) or kind(getattr(function, "__call__", None))  # noqa: B004
