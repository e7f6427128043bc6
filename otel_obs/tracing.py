"""Spans: what turns them on, and `traced` for functions of one's own.

Nothing of the SDK is imported, and nothing of this module runs, in a service without tracing.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode

from otel_obs.errors import MissingPackageError
from otel_obs.host.interruptions import raise_interruption
from otel_obs.http.nesting import MARK
from otel_obs.sdk.blocks import wrap

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

P = ParamSpec("P")
R = TypeVar("R")
Attributes = Mapping[str, Any]
GivenAttributes = Attributes | Callable[..., Attributes] | None

_logger = logging.getLogger("otel_obs")
_OFF: AbstractContextManager[None] = nullcontext()


@overload
def traced(name: Callable[P, R]) -> Callable[P, R]: ...
@overload
def traced(
    name: str = "", attributes: GivenAttributes = None, *, kind: SpanKind = SpanKind.INTERNAL
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def traced(name: Any = "", attributes: GivenAttributes = None, *, kind: SpanKind = SpanKind.INTERNAL) -> Any:
    """Decorate a function, coroutine function, generator or async generator: every call is a span.

    An exception is recorded on the span, and raised on. A generator's span is current while the generator
    runs, and not while its caller does.

    Args:
        name: The span's name; by default the function's qualified name. `@traced` alone does as well.
        attributes: The span's attributes, or a function that makes them from the arguments of the call.
        kind: What the span is to its trace: `SpanKind.CLIENT` for a call to another service.

    Returns:
        A decorator that keeps the signature.
    """
    if callable(name) or isinstance(name, classmethod):
        return traced()(name)

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if isinstance(function, (classmethod, staticmethod)):
            method: Any = type(function)
            return cast("Callable[P, R]", method(decorate(function.__func__)))
        called = cast("Callable[..., Any]", function)
        start = _Start(called, name or called.__qualname__, attributes, kind)
        if inspect.isasyncgenfunction(called):
            return cast("Callable[P, R]", _async_generator(called, start))
        if inspect.isgeneratorfunction(called):
            return cast("Callable[P, R]", _generator(called, start))
        return wrap(function, start.current)

    return decorate


class _Start:
    """Starts the span of one call."""

    def __init__(
        self, function: Callable[..., Any], name: str, attributes: GivenAttributes, kind: SpanKind
    ) -> None:
        self._tracer = trace.get_tracer(function.__module__)
        self._name, self._attributes, self._kind = name, attributes, kind

    def current(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[Any]:
        """A span that is the current one inside of the block."""
        if not is_on():
            return _OFF
        return self._tracer.start_as_current_span(
            self._name, kind=self._kind, attributes=self._computed(args, kwargs)
        )

    def apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        """A span that is current nowhere yet."""
        return self._tracer.start_span(
            self._name, kind=self._kind, attributes=self._computed(args, kwargs) if is_on() else None
        )

    def _computed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Attributes | None:
        if not callable(self._attributes):
            return self._attributes
        try:
            return self._attributes(*args, **kwargs)
        except Exception as error:
            raise_interruption(error)
            _logger.warning("the attributes of span %r could not be made: %r", self._name, error)
            return None


class _Current:
    """Makes a span the current one for one step of a generator, and notes what the step raises."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._context = trace.set_span_in_context(span)

    def __enter__(self) -> None:
        self._token = attach(self._context)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        detach(self._token)
        if isinstance(error, Exception) and not isinstance(error, (StopIteration, StopAsyncIteration)):
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))


def _generator(function: Callable[..., Any], start: _Start) -> Callable[..., Any]:
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = start.apart(args, kwargs)
        current = _Current(span)
        inner = function(*args, **kwargs)
        try:
            step: Callable[[], Any] = functools.partial(next, inner)
            while True:
                with current:
                    item = step()
                try:
                    step = functools.partial(inner.send, (yield item))
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = functools.partial(inner.throw, error)
        except StopIteration as end:
            return end.value
        finally:
            inner.close()
            span.end()

    return generator


def _async_generator(function: Callable[..., Any], start: _Start) -> Callable[..., Any]:
    @functools.wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = start.apart(args, kwargs)
        current = _Current(span)
        inner = function(*args, **kwargs)
        try:
            step: Callable[[], Any] = inner.__anext__
            while True:
                with current:
                    item = await step()
                try:
                    step = functools.partial(inner.asend, (yield item))
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step = functools.partial(inner.athrow, error)
        except StopAsyncIteration:
            return
        finally:
            await inner.aclose()
            span.end()

    return generator


def is_on() -> bool:
    """Whether this process has a tracer provider, ours or the application's."""
    return not isinstance(trace.get_tracer_provider(), ProxyTracerProvider)


class Tracing:
    """The spans of this process: what makes them, and where they go.

    Args:
        exporters: Where spans go.
        resource: What they describe.
    """

    def __init__(self, exporters: Sequence[Any], resource: Resource) -> None:
        from opentelemetry.sdk.trace import TracerProvider

        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._batches = [_batches(exporter) for exporter in exporters]
        for batches in self._batches:
            self._provider.add_span_processor(batches)
        self._unname = _name_spans_in_logs(str(resource.attributes.get("service.name", "")))
        self._is_shut_down = False
        trace.set_tracer_provider(self._provider)
        if trace.get_tracer_provider() is not self._provider:
            _logger.warning(
                "the application has set a tracer provider of its own: spans go where that sends them"
            )

    def describe(self, resource: Resource) -> None:
        """Say what the spans describe: after a fork, the SDK has an idea of its own of that."""
        update = getattr(self._provider, "_update_resource", None)
        if update is not None:
            update(resource)

    def shutdown(self, timeout_ms: int) -> None:
        """Send what there is, and stop, once."""
        if self._is_shut_down:
            return
        self._is_shut_down = True
        self._unname()
        for batches in self._batches:
            batches.shutdown(timeout_ms)


def _batches(exporter: Any) -> Any:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    class Batches(SpanProcessor):
        """Sends spans in batches, from a thread that a process has from its first span on.

        The first process of a server with workers has no spans, and forks without a thread.
        """

        def __init__(self) -> None:
            self._by_process: dict[int, BatchSpanProcessor] = {}

        def on_end(self, span: Any) -> None:
            pid = os.getpid()
            found = self._by_process.get(pid)
            if found is None:
                found = self._by_process.setdefault(pid, BatchSpanProcessor(exporter))
            found.on_end(span)

        def shutdown(self, timeout_ms: int = 30_000) -> None:
            found = self._by_process.get(os.getpid())
            if found is not None:
                # The public method waits for half a minute, in which a container is killed.
                inner: Any = getattr(found, "_batch_processor", found)
                inner.shutdown(timeout_millis=timeout_ms)

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            found = self._by_process.get(os.getpid())
            return found is None or found.force_flush(timeout_millis)

    return Batches()


def _name_spans_in_logs(service_name: str) -> Callable[[], None]:
    """Give every log record the attributes that OpenTelemetry's instrumentation of logging gives it."""
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        context = trace.get_current_span().get_span_context()
        record.otelTraceID = trace.format_trace_id(context.trace_id) if context.is_valid else "0"
        record.otelSpanID = trace.format_span_id(context.span_id) if context.is_valid else "0"
        record.otelTraceSampled = context.trace_flags.sampled
        record.otelServiceName = service_name
        return record

    def undo() -> None:
        if logging.getLogRecordFactory() is factory:
            logging.setLogRecordFactory(before)

    logging.setLogRecordFactory(factory)
    return undo


def trace_flask(app: Any = None) -> None:
    """Have every request to *app*, or to every Flask application made from now on, traced.

    Raises:
        MissingPackageError: OpenTelemetry's instrumentation of Flask is not installed.
    """
    try:
        from opentelemetry.instrumentation.flask import FlaskInstrumentor
    except ImportError as error:
        raise MissingPackageError("tracing", "opentelemetry-instrumentation-flask", "tracing") from error
    options: dict[str, Any] = {"meter_provider": NoOpMeterProvider(), "request_hook": _note_span}
    if app is None:
        FlaskInstrumentor().instrument(**options)
    elif not getattr(app, "_is_instrumented_by_opentelemetry", False):
        instrument_app: Any = FlaskInstrumentor.instrument_app
        instrument_app(app, **options)


def trace_fastapi(app: Any = None) -> None:
    """Have every request to *app*, or to every FastAPI application made from now on, traced.

    Raises:
        MissingPackageError: OpenTelemetry's instrumentation of FastAPI is not installed.
    """
    try:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    except ImportError as error:
        raise MissingPackageError("tracing", "opentelemetry-instrumentation-fastapi", "tracing") from error
    options: dict[str, Any] = {
        "meter_provider": NoOpMeterProvider(),
        "server_request_hook": _note_span,
        # One span for each message that is received or sent says nothing that the request's does not.
        "exclude_spans": ["receive", "send"],
    }
    if app is None:
        FastAPIInstrumentor().instrument(**options)
    elif not getattr(app, "_is_instrumented_by_opentelemetry", False):
        FastAPIInstrumentor.instrument_app(app, **options)


def _note_span(span: Span, carrier: Any) -> None:
    """Tell what measures the request which span it is: it records when that span is no longer current."""
    outer = carrier.get(MARK)
    if outer is not None and not outer.is_done:
        outer.note_span(span)
