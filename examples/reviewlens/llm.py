"""Three providers of language models, each standing in for the others."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import httpx

from otel_obs.catalog import llm, record_error

_TIMEOUT_S = 30.0


class Provider(NamedTuple):
    """Who offers a model over an OpenAI-compatible API."""

    name: str
    model: str
    url: str
    key: str


class Answer(NamedTuple):
    """What a model said, and who was asked."""

    text: str
    provider: str


class NoProviderError(Exception):
    """No provider has answered."""


# By model: US dollars for a million prompt and completion tokens.
PRICES = {"gemini-2.0-flash": (0.10, 0.40), "gpt-4o-mini": (0.15, 0.60), "claude-3-5-haiku": (0.80, 4.00)}


def providers_from_environment() -> list[Provider]:
    """The three providers; `GEMINI_URL`, `OPENAI_URL`, `CLAUDE_URL` and `…_KEY` say how they are reached."""
    models = zip(("gemini", "openai", "claude"), PRICES, strict=True)
    return [
        Provider(
            name,
            model,
            os.environ.get(f"{name.upper()}_URL", f"http://127.0.0.1:8090/{name}/v1"),
            os.environ.get(f"{name.upper()}_KEY", "offline"),
        )
        for name, model in models
    ]


class Models:
    """Asks one provider, and the next where that one fails."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = list(providers)
        # Nobody stands between a service and its own providers: proxies of the environment are not asked.
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        llm.set_prices(PRICES)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def ask(self, messages: Sequence[dict[str, str]], first: int = 0) -> Answer:
        """Ask the provider with the number *first*, or whoever comes after it.

        Raises:
            NoProviderError: All have failed.
        """
        start = first % len(self._providers)
        for attempt, provider in enumerate((*self._providers[start:], *self._providers[:start])):
            try:
                async with llm.call(provider.name, provider.model, fallback=attempt > 0) as call:
                    words = [word async for word in call.stream(self._stream(provider, messages, call))]
                return Answer("".join(words), provider.name)
            except httpx.HTTPError as error:
                record_error(type(error).__name__, f"llm.{provider.name}")
        raise NoProviderError("no provider answers; try again later")

    async def _stream(
        self, provider: Provider, messages: Sequence[dict[str, str]], call: llm.call
    ) -> AsyncIterator[str]:
        """The words of an answer as they come; the tokens are in the last event."""
        body: dict[str, Any] = {
            "model": provider.model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        headers = {"Authorization": f"Bearer {provider.key}"}
        request = self._client.stream("POST", f"{provider.url}/chat/completions", json=body, headers=headers)
        async with request as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                data = line.removeprefix("data: ")
                if data == line or data == "[DONE]":
                    continue
                event = json.loads(data)
                if event.get("usage"):
                    usage = event["usage"]
                    call.tokens(prompt=usage["prompt_tokens"], completion=usage["completion_tokens"])
                for choice in event["choices"]:
                    yield choice["delta"].get("content", "")
