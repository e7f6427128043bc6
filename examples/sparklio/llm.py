"""Language models: one behind an OpenAI-compatible API, or one of our own that needs no network."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple, Protocol

import httpx

from monitoring.prometheus_metrics import context_size_bytes
from otel_obs.catalog import llm

_WORD = re.compile(r"[a-z]{4,}")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_TIMEOUT_S = 30.0


class Completion(NamedTuple):
    """What a model says, and what it took."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class Model(Protocol):
    """Anything that follows an instruction on a context."""

    provider: str
    name: str

    def complete(self, instruction: str, context: str) -> Completion:
        """What the model says."""


class Extractive:
    """Says the sentences of the context whose words are its most frequent, in their order."""

    provider = "offline"
    name = "extractive"
    _SAID = 3

    def complete(self, instruction: str, context: str) -> Completion:
        sentences = [sentence for sentence in _SENTENCE.split(context.strip()) if sentence]
        frequency = Counter(_WORD.findall(context.lower()))

        def weight(sentence: str) -> float:
            words = _WORD.findall(sentence.lower())
            return sum(frequency[word] for word in words) / len(words) if words else 0.0

        said = set(sorted(sentences, key=weight, reverse=True)[: self._SAID])
        text = " ".join(sentence for sentence in sentences if sentence in said)
        return Completion(text, len(instruction.split()) + len(context.split()), len(text.split()))


class OverHttp:
    """A model behind an OpenAI-compatible API."""

    provider = "openai"

    def __init__(self, url: str, name: str, key: str) -> None:
        self.name = name
        self._url = f"{url}/chat/completions"
        # The provider is the operator's own choice: proxies of the environment are not asked.
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    def complete(self, instruction: str, context: str) -> Completion:
        messages = [
            {"role": "system", "content": f"{instruction}\n{context}"},
            {"role": "user", "content": instruction},
        ]
        response = self._client.post(self._url, json={"model": self.name, "messages": messages})
        response.raise_for_status()
        body = response.json()
        usage = body["usage"]
        text = body["choices"][0]["message"]["content"]
        return Completion(text, usage["prompt_tokens"], usage["completion_tokens"])


def ask(model: Model, instruction: str, context: str) -> str:
    """Let *model* follow an instruction; counted, timed and priced."""
    context_size_bytes.observe(len(context.encode()))
    with llm.call(model.provider, model.name) as call:
        completion = model.complete(instruction, context)
        call.tokens(completion.prompt_tokens, completion.completion_tokens)
    return completion.text
