"""Calls of large language models, and the keys that they are called with."""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from time import perf_counter
from typing import NamedTuple, TypeVar, overload

from otel_obs.catalog.kit.boundary import safely
from otel_obs.catalog.kit.kinds import CounterMetric, HistogramMetric
from otel_obs.catalog.kit.naming import ANY, Semconv
from otel_obs.catalog.kit.timed_run import ERROR, SUCCESS, TimedRun
from otel_obs.cells.layout import Kind
from otel_obs.errors import DeclarationError

__all__ = [
    "llm_calls_total",
    "llm_cost_usd_total",
    "llm_duration_seconds",
    "llm_time_to_first_token_seconds",
    "llm_tokens_total",
    "record_llm_call",
]

T = TypeVar("T")

FALLBACK = "fallback"

_PROVIDER = {"provider": ANY}
_SEMCONV = {
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "operation": "gen_ai.operation.name",
    "error_type": "error.type",
}
# Source: OpenTelemetry semantic conventions for generative AI, metrics; they define these names.
_PROVIDERS = {
    "provider": {
        "azure": "azure.ai.openai",
        "bedrock": "aws.bedrock",
        "claude": "anthropic",
        "gemini": "gcp.gemini",
        "google": "gcp.gen_ai",
        "grok": "x_ai",
        "mistral": "mistral_ai",
        "moonshot": "moonshot_ai",
        "vertex": "gcp.vertex_ai",
        "watsonx": "ibm.watsonx.ai",
        "xai": "x_ai",
    }
}
_SEMCONV_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_SEMCONV_TOKENS = tuple(float(4**power) for power in range(14))

llm_duration_seconds = HistogramMetric(
    "llm_duration_seconds",
    "LLM call duration in seconds",
    unit="s",
    attributes=_PROVIDER,
    bounds=(0.5, 1, 2, 5, 10, 20, 30),
    semconv=Semconv("gen_ai.client.operation.duration", _SEMCONV, "s", bounds=_SEMCONV_S, values=_PROVIDERS),
)
llm_calls_total = CounterMetric(
    "llm_calls_total",
    "Total LLM calls",
    unit="{call}",
    attributes={**_PROVIDER, "status": (SUCCESS, ERROR, FALLBACK)},
    semconv=Semconv(
        attributes={"provider": "gen_ai.provider.name", "status": "error.type"},
        values=_PROVIDERS,
        count_of=llm_duration_seconds.declaration,
    ),
)
llm_tokens_total = CounterMetric(
    "llm_tokens_total",
    "Total LLM tokens",
    unit="{token}",
    attributes={**_PROVIDER, "type": ("prompt", "completion")},
    semconv=Semconv(
        "gen_ai.client.token.usage",
        {**_SEMCONV, "error_type": "", "type": "gen_ai.token.type"},
        "{token}",
        Kind.HISTOGRAM,
        _SEMCONV_TOKENS,
        {"type": {"prompt": "input", "completion": "output"}, **_PROVIDERS},
    ),
)
llm_time_to_first_token_seconds = HistogramMetric(
    "llm_time_to_first_token_seconds",
    "Seconds until the first token of a streamed LLM call",
    unit="s",
    attributes=_PROVIDER,
    bounds=(0.1, 0.25, 0.5, 1, 2, 5, 10),
    semconv=Semconv(
        "gen_ai.client.operation.time_to_first_chunk",
        {**_SEMCONV, "error_type": ""},
        "s",
        bounds=_SEMCONV_S,
        values=_PROVIDERS,
    ),
)
llm_cost_usd_total = CounterMetric(
    "llm_cost_usd_total", "Total cost of LLM calls in US dollars", unit="{USD}", attributes=_PROVIDER
)


class Price(NamedTuple):
    """The price of a model, in US dollars for a million tokens."""

    prompt: float
    completion: float


_prices: dict[str, Price] = {}


def set_prices(prices: Mapping[str, Price | tuple[float, float]]) -> None:
    """Set what models cost; calls of a model without a price add no cost.

    Args:
        prices: By model, as `call` is given it: US dollars for a million prompt and completion tokens.

    Raises:
        DeclarationError: *prices* is not a mapping, or a price is not a pair of numbers >= 0.
    """
    if not isinstance(prices, Mapping):
        raise DeclarationError(
            "prices", f"are {prices!r}", "give a price for each model: {'gpt-4o': (2.5, 10)}"
        )
    table = {model: _price(model, price) for model, price in prices.items()}
    _prices.clear()
    _prices.update(table)


def _price(model: str, price: object) -> Price:
    """The price of a model as numbers."""
    if isinstance(price, (tuple, list)) and len(price) == 2:
        try:
            made = Price(*map(float, price))
        except (TypeError, ValueError):
            made = Price(-1, -1)
        if 0 <= made.prompt < math.inf and 0 <= made.completion < math.inf:
            return made
    raise DeclarationError(
        model, f"has the price {price!r}", "give dollars for a million prompt and completion tokens"
    )


@safely(llm_calls_total)
def record_llm_call(
    provider: str,
    status: str = SUCCESS,
    duration: float | None = None,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    model: str = "",
    operation: str = "chat",
    error_type: str = "",
) -> None:
    """Count a call that has ended.

    Args:
        provider: The provider that was called.
        status: `success`, `error`, or `fallback` for a call that stood in for one that failed.
        duration: Seconds that it took.
        prompt_tokens: Tokens that were sent.
        completion_tokens: Tokens that came back.
        model: Which model, for its price and for the semconv profile.
        operation: The operation, such as `chat`, for the semconv profile.
        error_type: The class of the error, for the semconv profile.
    """
    facts = _facts(provider, model, operation)
    llm_calls_total.add(1, {"provider": provider, "status": status})
    if duration is not None:
        llm_duration_seconds.record(duration, {**facts, "error_type": error_type} if error_type else facts)
    for kind, tokens in (("prompt", prompt_tokens), ("completion", completion_tokens)):
        if tokens:
            llm_tokens_total.add(tokens, {**facts, "type": kind})
    price = _prices.get(model)
    if price is not None:
        cost = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
        llm_cost_usd_total.add(cost, {"provider": provider})


def _facts(provider: str, model: str, operation: str) -> dict[str, str]:
    facts = {"provider": provider, "operation": operation}
    return {**facts, "model": model} if model else facts


class call(TimedRun):
    """Count and time one call, in a `with` or an `async with`.

    ```python
    async with llm.call("openai", model="gpt-4o") as call:
        async for chunk in call.stream(client.stream(prompt)):
            ...
        call.tokens(prompt=usage.prompt_tokens, completion=usage.completion_tokens)
    ```

    Args:
        provider: The provider that is called.
        model: Which model, for its price and for the semconv profile.
        fallback: Whether the call stands in for one that failed.
        operation: The operation, such as `chat`, for the semconv profile.
    """

    __slots__ = ("_completion", "_has_first", "_model", "_operation", "_prompt", "_provider")

    def __init__(
        self, provider: str, model: str = "", *, fallback: bool = False, operation: str = "chat"
    ) -> None:
        super().__init__(FALLBACK if fallback else SUCCESS)
        self._provider, self._model, self._operation = provider, model, operation
        self._begin()

    def _begin(self) -> None:
        self._prompt = self._completion = 0
        self._has_first = False

    @safely(llm_tokens_total)
    def tokens(self, prompt: int | None = 0, completion: int | None = 0) -> None:
        """Add tokens that were used; a stream may call this many times. None, as some SDKs report, is 0."""
        self._prompt, self._completion = self._prompt + (prompt or 0), self._completion + (completion or 0)

    def fallback(self) -> None:
        """Count the call as one that stood in for another."""
        self.status = FALLBACK

    def first_token(self) -> None:
        """Note that the first token is there; further calls do nothing."""
        if not self._has_first and self._started:
            self._has_first = True
            self._record_first(perf_counter() - self._started)

    @safely(llm_time_to_first_token_seconds)
    def _record_first(self, elapsed_s: float) -> None:
        facts = _facts(self._provider, self._model, self._operation)
        llm_time_to_first_token_seconds.record(elapsed_s, facts)

    @overload
    def stream(self, chunks: Iterable[T]) -> Iterator[T]: ...

    @overload
    def stream(self, chunks: AsyncIterable[T]) -> AsyncIterator[T]: ...

    def stream(self, chunks: Iterable[T] | AsyncIterable[T]) -> Iterator[T] | AsyncIterator[T]:
        """Pass on the chunks of a stream and note the first; an asynchronous stream stays asynchronous."""
        return self._astream(chunks) if isinstance(chunks, AsyncIterable) else self._stream(chunks)

    def _stream(self, chunks: Iterable[T]) -> Iterator[T]:
        iterator = iter(chunks)
        try:
            for chunk in iterator:
                self.first_token()
                yield chunk
        except GeneratorExit:
            # The caller left the loop early: close the client's stream too, so that it frees its connection.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()
            raise

    async def _astream(self, chunks: AsyncIterable[T]) -> AsyncIterator[T]:
        iterator = aiter(chunks)
        try:
            async for chunk in iterator:
                self.first_token()
                yield chunk
        except GeneratorExit:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
            raise

    def _end(self) -> None:
        record_llm_call(
            self._provider,
            self.status,
            self.elapsed_s,
            self._prompt,
            self._completion,
            self._model,
            self._operation,
            self.error_type or ("_OTHER" if self.status == ERROR else ""),
        )
