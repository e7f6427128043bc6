"""One timed execution with a status: the base of agent runs, workflow runs, LLM calls and queries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from time import perf_counter
from types import TracebackType
from typing import TypeVar

from otel_obs.sdk.context_managers import AlsoAsync

RunT = TypeVar("RunT", bound="TimedRun")

SUCCESS = "success"
ERROR = "error"


class TimedRun(ABC, AlsoAsync):
    """A block that is counted when it ends, in a `with` or an `async with`.

    `GeneratorExit` is not an error: the consumer of a generator closed it because it needs no more.

    Args:
        status: The status of a run that neither fails nor sets another one.

    Attributes:
        status: What is recorded: the first status until another is set, `error` if the block raises.
        error_type: The class of the exception that left the block, "" without one.
        elapsed_s: The seconds that the block took.
    """

    __slots__ = ("_first_status", "_started", "elapsed_s", "error_type", "status")

    def __init__(self, status: str = SUCCESS) -> None:
        self.status = self._first_status = status
        self.error_type = ""
        self.elapsed_s = 0.0
        self._started = 0.0

    def fail(self) -> None:
        """Count the run as an error though its block does not raise."""
        self.status = ERROR

    def _begin(self) -> None:
        """Record the start."""

    @abstractmethod
    def _end(self) -> None:
        """Record the end; `status` and `elapsed_s` are known."""

    def __enter__(self: RunT) -> RunT:
        self.status, self.error_type = self._first_status, ""
        self._begin()
        self._started = perf_counter()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.elapsed_s = perf_counter() - self._started
        if exc_type is not None and not issubclass(exc_type, GeneratorExit):
            self.status = ERROR
            self.error_type = exc_type.__qualname__
        self._end()
