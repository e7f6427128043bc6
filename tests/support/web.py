"""One HTTP request, with the answer as a value whatever its status."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Response(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def request(
    url: str,
    *,
    method: str | None = None,
    body: bytes | None = None,
    json_body: object = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Response:
    """Send one request on a connection of its own; redirects are followed, error statuses returned."""
    headers = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        headers.setdefault("Content-Type", "application/json")
    asked = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with NO_PROXY.open(asked, timeout=timeout_s) as answer:
            return Response(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read())
