"""Context managers and decorators that measure blocks and calls, in the manner of `prometheus_client`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from time import perf_counter
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from otel_obs.errors import not_a_function

P = ParamSpec("P")
R = TypeVar("R")
AlsoAsyncT = TypeVar("AlsoAsyncT", bound="AlsoAsync")
TimingT = TypeVar("TimingT", bound="Timing")


class Block:
    """A context manager that also decorates functions, coroutine functions and generators of both sorts."""

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the block; what it raised goes on."""

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Measure every call of *function*, a generator from its first step to its end."""
        return wrap(function, lambda args, kwargs: self._again())

    def _again(self) -> Block:
        """The block that measures one call: a new one if it has state, since calls may overlap."""
        return self


class AlsoAsync:
    """Makes `async with` do the same as `with`."""

    __slots__ = ()

    async def __aenter__(self: AlsoAsyncT) -> AlsoAsyncT:
        return self.__enter__()  # type: ignore[attr-defined, no-any-return]

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, traceback)  # type: ignore[attr-defined]


class Timing(Block):
    """Gives the seconds of a block to *record*, also if it raises. `elapsed_s` holds them afterwards."""

    def __init__(self, record: Callable[[float], object]) -> None:
        self._record = record
        self._started_s = 0.0
        self.elapsed_s = 0.0

    def __enter__(self: TimingT) -> TimingT:
        self._started_s = perf_counter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.elapsed_s = perf_counter() - self._started_s
        self._record(self.elapsed_s)

    def _again(self) -> Timing:
        return Timing(self._record)


class ExceptionCounting(Block):
    """Calls *count* where a block raises one of *exceptions*."""

    def __init__(
        self,
        count: Callable[[], object],
        exceptions: type[BaseException] | tuple[type[BaseException], ...],
    ) -> None:
        self._count = count
        self._exceptions = exceptions

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, self._exceptions):
            self._count()


class Level(Protocol):
    """A gauge or an updowncounter."""

    def inc(self) -> None:
        """Go up."""

    def dec(self) -> None:
        """Go down."""


class InProgress(Block):
    """Raises *level* by one while a block runs."""

    def __init__(self, level: Level) -> None:
        self._level = level

    def __enter__(self) -> None:
        self._level.inc()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._level.dec()


def wrap(
    function: Callable[P, R],
    around: Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[Any]],
) -> Callable[P, R]:
    """Run every call of *function* inside a context manager that *around* makes from its arguments.

    Args:
        function: A function, coroutine function, generator function or async generator function.
        around: Gives a context manager for one call, which must not raise of its own.

    Returns:
        A function of the same sort and signature; of a class or static method, again one.

    Raises:
        DeclarationError: It is no function.
    """
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(wrap(function.__func__, around))
    if not callable(function):
        raise not_a_function(function)
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
