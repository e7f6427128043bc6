"""What a detection shows, in words: a language model behind an OpenAI-compatible API, with several keys."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

import httpx

from detection import Detection
from otel_obs.catalog import api_keys, llm
from scene import HEIGHT, WIDTH

PROVIDER, MODEL = "gemini", "gemini-2.0-flash"
_TIMEOUT_S = 30.0


class NoAnswerError(Exception):
    """No key got an answer."""


def keys_from_environment() -> dict[str, str]:
    """The keys of `GEMINI_KEYS` by their ids: `main=…,spare=…`."""
    pairs = os.environ.get("GEMINI_KEYS", "main=offline").split(",")
    return dict(pair.split("=", 1) for pair in pairs)


class Describer:
    """Asks with one key after the other; a key that is refused is followed by the next at once."""

    def __init__(self, url: str, keys: Mapping[str, str]) -> None:
        self._url = f"{url}/chat/completions"
        self._keys = keys
        self._outcomes = {key_id: api_keys.api_key(key_id) for key_id in keys}
        self._turns: Iterator[str] = cycle(keys)
        # The provider is the operator's own choice: proxies of the environment are not asked.
        self._client = httpx.Client(timeout=_TIMEOUT_S, trust_env=False)

    def describe(self, detection: Detection) -> str:
        """One sentence about a detection.

        Raises:
            NoAnswerError: No key got an answer.
        """
        for _ in self._keys:
            key_id = next(self._turns)
            try:
                text = self._ask(detection, self._keys[key_id])
            except httpx.HTTPError:
                self._outcomes[key_id].failure()
            else:
                self._outcomes[key_id].success()
                return text
        raise NoAnswerError(f"no answer with any of the keys {', '.join(self._keys)}")

    def _ask(self, detection: Detection, key: str) -> str:
        messages = [
            {"role": "system", "content": "\n".join(["Answer from these facts.", *_facts(detection)])},
            {"role": "user", "content": "Describe what the camera shows."},
        ]
        with llm.call(PROVIDER, MODEL) as call:
            response = self._client.post(
                self._url,
                json={"model": MODEL, "messages": messages},
                headers={"Authorization": f"Bearer {key}"},
            )
            response.raise_for_status()
            body: dict[str, Any] = response.json()
            call.tokens(body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"])
        text: str = body["choices"][0]["message"]["content"]
        return text


def _facts(detection: Detection) -> Iterator[str]:
    yield f"The camera shows {len(detection.boxes)} things in {detection.groups} groups."
    for box in detection.boxes:
        side = "left" if box.left + box.right < WIDTH else "right"
        height = "top" if box.top + box.bottom < HEIGHT else "bottom"
        yield f"One is at the {height} {side}."
