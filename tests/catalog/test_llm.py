from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator

import pytest

from otel_obs.catalog import llm, record_llm_call
from otel_obs.catalog.kit.naming import Naming
from otel_obs.errors import DeclarationError
from tests.catalog.conftest import Service


@pytest.fixture(autouse=True)
def _no_prices() -> Iterator[None]:
    yield
    llm.set_prices({})


def counts(service: Service) -> list[str]:
    return [line for line in service.samples() if "_sum" not in line]


def test_a_call_is_counted_and_timed(service: Service) -> None:
    with llm.call("openai", model="gpt-4o") as call:
        call.tokens(prompt=120, completion=30)
        call.tokens(completion=5)
    assert counts(service) == [
        'llm_calls_total{provider="openai",status="success"} 1.0',
        'llm_duration_seconds_count{provider="openai"} 1.0',
        'llm_tokens_total{provider="openai",type="prompt"} 120.0',
        'llm_tokens_total{provider="openai",type="completion"} 35.0',
    ]
    (total,) = service.samples("llm_duration_seconds_sum")
    assert float(total.split()[1]) == pytest.approx(call.elapsed_s)


def test_a_call_that_raises_is_an_error(service: Service) -> None:
    with pytest.raises(TimeoutError), llm.call("gemini", fallback=True):
        raise TimeoutError
    assert service.samples("llm_calls") == ['llm_calls_total{provider="gemini",status="error"} 1.0']


def test_a_call_that_failed_without_an_exception_is_an_error(service: Service) -> None:
    with llm.call("gemini") as call:
        call.fail()
    assert service.samples("llm_calls") == ['llm_calls_total{provider="gemini",status="error"} 1.0']


def test_a_call_that_stands_in_for_another_is_a_fallback(service: Service) -> None:
    with llm.call("claude", fallback=True):
        pass
    with llm.call("claude") as call:
        call.fallback()
    assert service.samples("llm_calls") == ['llm_calls_total{provider="claude",status="fallback"} 2.0']


def test_a_call_may_be_asynchronous_and_stream(service: Service) -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    async def run() -> list[str]:
        async with llm.call("openai") as call:
            return [chunk async for chunk in call.stream(chunks())]

    assert asyncio.run(run()) == ["a", "b"]
    assert counts(service) == [
        'llm_time_to_first_token_seconds_count{provider="openai"} 1.0',
        'llm_calls_total{provider="openai",status="success"} 1.0',
        'llm_duration_seconds_count{provider="openai"} 1.0',
    ]


def test_a_stream_may_be_synchronous_or_noted_by_hand(service: Service) -> None:
    with llm.call("openai") as call:
        assert list(call.stream(["a", "b"])) == ["a", "b"]
    with llm.call("openai") as call:
        call.first_token()
        call.first_token()
    assert service.samples("llm_time_to_first_token_seconds_count") == [
        'llm_time_to_first_token_seconds_count{provider="openai"} 2.0'
    ]


def test_a_call_costs_what_the_table_says(service: Service) -> None:
    llm.set_prices({"gpt-4o": (2.5, 10.0), "free": llm.Price(0, 0)})
    with llm.call("openai", model="gpt-4o") as call:
        call.tokens(prompt=1_000_000, completion=100_000)
    with llm.call("openai", model="unknown") as call:
        call.tokens(prompt=1)
    assert service.samples("llm_cost") == ['llm_cost_usd_total{provider="openai"} 3.5']


@pytest.mark.parametrize("price", [(1,), (-1, 1), ("a", 1), None, "12", (1, float("nan")), (float("inf"), 1)])
def test_a_wrong_price_is_refused(price: object) -> None:
    with pytest.raises(DeclarationError) as caught:
        llm.set_prices({"gpt-4o": price})  # type: ignore[dict-item]
    assert str(caught.value) == (
        f"'gpt-4o' has the price {price!r}; give dollars for a million prompt and completion tokens"
    )


def test_what_is_no_table_of_prices_is_refused() -> None:
    with pytest.raises(DeclarationError) as caught:
        llm.set_prices([1])  # type: ignore[arg-type]
    assert str(caught.value) == "'prices' are [1]; give a price for each model: {'gpt-4o': (2.5, 10)}"


def test_tokens_that_are_none_or_no_number_do_not_break_the_call(service: Service) -> None:
    with llm.call("openai") as call:
        call.tokens(prompt=None, completion=3)
        call.tokens(prompt="many")  # type: ignore[arg-type]
    assert service.samples("llm_calls") == ['llm_calls_total{provider="openai",status="success"} 1.0']
    assert service.samples("llm_tokens") == ['llm_tokens_total{provider="openai",type="completion"} 3.0']
    assert service.provider.dropped == {"error": 1}


def test_a_call_that_is_used_twice_counts_each(service: Service) -> None:
    call = llm.call("openai")

    def ask(tokens: int, error: Exception | None = None) -> None:
        with call:
            call.tokens(prompt=tokens)
            if error:
                raise error

    with pytest.raises(TimeoutError):
        ask(1, TimeoutError())
    ask(2)
    assert service.samples("llm_calls") == [
        'llm_calls_total{provider="openai",status="error"} 1.0',
        'llm_calls_total{provider="openai",status="success"} 1.0',
    ]
    assert service.samples("llm_tokens") == ['llm_tokens_total{provider="openai",type="prompt"} 3.0']


def test_a_generator_that_is_closed_early_has_not_failed(service: Service) -> None:
    def answer() -> Generator[str]:
        with llm.call("openai") as call:
            yield from call.stream(["a", "b"])

    stream = answer()
    assert next(stream) == "a"
    stream.close()
    assert service.samples("llm_calls") == ['llm_calls_total{provider="openai",status="success"} 1.0']


def test_what_is_no_exception_of_the_application_passes_untouched(service: Service) -> None:
    for error in (KeyboardInterrupt(1), SystemExit(2), asyncio.CancelledError(3)):
        with pytest.raises(type(error)) as caught, llm.call("openai"):
            raise error
        assert caught.value is error
        assert error.__context__ is None
    assert service.samples("llm_calls") == ['llm_calls_total{provider="openai",status="error"} 3.0']


def test_closing_a_stream_closes_what_it_streams(service: Service) -> None:
    closed = []

    def chunks() -> Generator[str]:
        try:
            yield "a"
        finally:
            closed.append("chunks")

    async def achunks() -> AsyncGenerator[str]:
        try:
            yield "a"
        finally:
            closed.append("achunks")

    async def run() -> None:
        stream = llm.call("openai").stream(achunks())
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        assert closed == ["achunks"]

    asyncio.run(run())
    source = chunks()
    stream = llm.call("openai").stream(source)
    assert next(stream) == "a"
    stream.close()  # type: ignore[attr-defined]
    assert closed == ["achunks", "chunks"]


def test_a_call_can_be_recorded_when_it_has_ended(service: Service) -> None:
    record_llm_call("openai", "fallback", 1.5, prompt_tokens=3, completion_tokens=4)
    record_llm_call("openai", "no such status")
    assert service.samples() == [
        'llm_calls_total{provider="openai",status="fallback"} 1.0',
        'llm_duration_seconds_count{provider="openai"} 1.0',
        'llm_duration_seconds_sum{provider="openai"} 1.5',
        'llm_tokens_total{provider="openai",type="prompt"} 3.0',
        'llm_tokens_total{provider="openai",type="completion"} 4.0',
    ]
    assert service.provider.dropped == {"attributes": 1}


def test_semconv_knows_the_model_and_what_went_wrong(start: Callable[..., Service]) -> None:
    service = start(Naming(profile="semconv"))

    def ask() -> None:
        with llm.call("openai", model="gpt-4o") as call:
            call.tokens(prompt=5)
            raise TimeoutError

    with pytest.raises(TimeoutError):
        ask()
    labels = 'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-4o"'
    assert counts(service) == [
        f'gen_ai_client_operation_duration_seconds_count{{error_type="TimeoutError",{labels}}} 1.0',
        f'gen_ai_client_token_usage_count{{{labels},gen_ai_token_type="input"}} 1.0',
    ]


@pytest.mark.parametrize(
    ("provider", "well_known"),
    [("openai", "openai"), ("gemini", "gcp.gemini"), ("claude", "anthropic"), ("our own", "our own")],
)
def test_semconv_has_the_well_known_names_of_providers(
    start: Callable[..., Service], provider: str, well_known: str
) -> None:
    service = start(Naming(profile="semconv"))
    with llm.call(provider) as call:
        call.first_token()
        call.tokens(prompt=1)
    shown = [line for line in service.samples() if "_count" in line]
    assert len(shown) == 3
    assert all(f'gen_ai_provider_name="{well_known}"' in line for line in shown)
