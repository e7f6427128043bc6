"""Descriptions as notes of a research service, such as sparklio, where there is one."""

from __future__ import annotations

import logging

import httpx

_TIMEOUT_S = 5.0
_logger = logging.getLogger("detector")


class Notes:
    """Keeps what is said about a topic; nothing where no address is given.

    Args:
        url: The service's address, or "".
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=_TIMEOUT_S, trust_env=False)

    def keep(self, topic: str, text: str) -> None:
        """Keep a text; that it cannot be kept is logged, and no more."""
        if not self._url:
            return
        try:
            response = self._client.post(f"{self._url}/topics/{topic}/notes", json={"texts": [text]})
            response.raise_for_status()
        except httpx.HTTPError as error:
            _logger.warning("the description of %s was not kept: %r", topic, error)
