"""Spans: tracing of requests, and the decorator `traced` for functions of the application.

The SDK is not imported here: a service without tracing does not load it.
"""

from __future__ import annotations

import functools
import inspect
import logging
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import ProxyTracerProvider, Span, SpanKind, Status, StatusCode

from otel_obs.cells.attributes import AttributeMapping
from otel_obs.errors import MissingPackageError
from otel_obs.host.signals import raise_interruption
from otel_obs.http.nesting import MARK
from otel_obs.sdk.context_managers import wrap

P = ParamSpec("P")
R = TypeVar("R")
GivenAttributes = AttributeMapping | Callable[..., AttributeMapping] | None

_logger = logging.getLogger("otel_obs")
_OFF: AbstractContextManager[None] = nullcontext()


class RequestTracer(Protocol):
    """An instrumentation of OpenTelemetry that makes a span of each request of a framework."""

    @property
    def instrumentor(self) -> str:
        """Its class, as `module:name`."""

    @property
    def package(self) -> str:
        """The distribution to install."""

    @property
    def extra(self) -> str:
        """The extra of otel-obs that installs it; "" for none."""

    @property
    def hook(self) -> str:
        """The option for a function that gets the span and the request."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Its further options."""


@overload
def traced(name: Callable[P, R]) -> Callable[P, R]: ...
@overload
def traced(
    name: str = "", attributes: GivenAttributes = None, *, kind: SpanKind = SpanKind.INTERNAL
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def traced(name: Any = "", attributes: GivenAttributes = None, *, kind: SpanKind = SpanKind.INTERNAL) -> Any:
    """Decorate a function, coroutine function, generator or async generator: every call is a span.

    An exception is recorded on the span, and re-raised. A generator's span is current while the generator
    runs, and not while its caller does.

    Args:
        name: The span's name; by default the function's qualified name. `@traced` alone does as well.
        attributes: The span's attributes, or a function that makes them from the arguments of the call.
        kind: The kind of the span, such as `SpanKind.CLIENT` for a call to another service.

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
        start = _SpanStart(called, name or called.__qualname__, attributes, kind)
        if inspect.isasyncgenfunction(called):
            return cast("Callable[P, R]", _async_generator(called, start))
        if inspect.isgeneratorfunction(called):
            return cast("Callable[P, R]", _generator(called, start))
        return wrap(function, start.current)

    return decorate


class _SpanStart:
    """Starts the span of one call."""

    def __init__(
        self, function: Callable[..., Any], name: str, attributes: GivenAttributes, kind: SpanKind
    ) -> None:
        self._tracer = trace.get_tracer(function.__module__)
        self._name, self._attributes, self._kind = name, attributes, kind

    def current(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AbstractContextManager[Any]:
        """Start a span that is current within the block."""
        if not is_on():
            return _OFF
        return self._tracer.start_as_current_span(
            self._name, kind=self._kind, attributes=self._computed(args, kwargs)
        )

    def apart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Span:
        """Start a span without making it current."""
        return self._tracer.start_span(
            self._name, kind=self._kind, attributes=self._computed(args, kwargs) if is_on() else None
        )

    def _computed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AttributeMapping | None:
        if not callable(self._attributes):
            return self._attributes
        try:
            return self._attributes(*args, **kwargs)
        except Exception as error:
            raise_interruption(error)
            _logger.warning("the attributes of span %r could not be made: %r", self._name, error)
            return None


class _CurrentSpan:
    """Makes a span current for one step of a generator, and records an exception of that step."""

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


def _generator(function: Callable[..., Any], start: _SpanStart) -> Callable[..., Any]:
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        span = start.apart(args, kwargs)
        current = _CurrentSpan(span)
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


def _async_generator(function: Callable[..., Any], start: _SpanStart) -> Callable[..., Any]:
    @functools.wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        span = start.apart(args, kwargs)
        current = _CurrentSpan(span)
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


def trace_requests(tracer: RequestTracer, app: Any = None) -> Callable[[], object]:
    """Trace every request to *app*, or to every application made from now on.

    Args:
        tracer: The instrumentation that makes the spans; its metrics stay off.
        app: An application; None for all.

    Returns:
        A function that stops the tracing.

    Raises:
        MissingPackageError: The instrumentation is not installed.
    """
    module, _, name = tracer.instrumentor.partition(":")
    try:
        instrumentor = getattr(import_module(module), name)
    except ImportError as error:
        raise MissingPackageError("tracing", tracer.package, tracer.extra) from error
    options = {"meter_provider": NoOpMeterProvider(), tracer.hook: _note_span, **tracer.options}
    if app is None:
        instrumentor().instrument(**options)
        return instrumentor().uninstrument  # type: ignore[no-any-return]
    is_traced = getattr(app, "_is_instrumented_by_opentelemetry", False)
    if is_traced or not hasattr(instrumentor, "instrument_app"):  # some can only trace all applications
        return lambda: None
    instrumentor.instrument_app(app, **options)
    reference = weakref.ref(app)

    def undo() -> None:
        alive = reference()
        if alive is not None:
            instrumentor.uninstrument_app(alive)

    return undo


def _note_span(span: Span, carrier: Any) -> None:
    """Give the span to the exchange of the request, which records when the span is no longer current."""
    if not isinstance(carrier, Mapping):  # Falcon's request
        carrier = carrier.env
    outer = carrier.get(MARK)
    if outer is not None and not outer.is_done:
        outer.note_span(span)
