"""Call WSGI and ASGI applications as servers do, with every step in the test's hand."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple

Message = MutableMapping[str, Any]


class Answered(NamedTuple):
    """What a WSGI application answered."""

    status: str
    headers: dict[str, str]
    body: bytes


def environ(path: str = "/", method: str = "GET", body: bytes = b"", **extra: Any) -> dict[str, Any]:
    """A WSGI environ."""
    path, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **extra,
    }


def wsgi(app: Any, path: str = "/", method: str = "GET", body: bytes = b"", **extra: Any) -> Answered:
    """One whole request, as a server does it: iterate, then close."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started[:] = [status, headers]
        return written.append

    written: list[bytes] = []
    result: Iterable[bytes] = app(environ(path, method, body, **extra), start_response)
    try:
        for chunk in result:
            written.append(chunk)  # noqa: PERF402
    finally:
        if hasattr(result, "close"):
            result.close()
    return Answered(started[0], dict(started[1]), b"".join(written))


def scope(path: str = "/", method: str = "GET", kind: str = "http", **extra: Any) -> dict[str, Any]:
    """An ASGI scope."""
    path, _, query = path.partition("?")
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        **extra,
    }


class Client:
    """The other side of one ASGI request or websocket.

    Args:
        received: What `receive` gives, in order; then it waits for `gone` and gives a disconnect.
    """

    def __init__(self, *received: Message, send: Callable[[Message], Awaitable[None]] | None = None) -> None:
        self._received = list(received)
        self._send = send
        self.sent: list[Message] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Message:
        if self._received:
            return self._received.pop(0)
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._send is not None:
            await self._send(message)
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The status that was sent."""
        started = (message for message in self.sent if message["type"] == "http.response.start")
        return int(next(started)["status"])

    @property
    def body(self) -> bytes:
        """The body that was sent."""
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that were sent."""
        start = next(message for message in self.sent if message["type"] == "http.response.start")
        return {name.decode(): value.decode() for name, value in start["headers"]}


END = {"type": "http.request", "body": b"", "more_body": False}


def asgi(app: Any, path: str = "/", method: str = "GET", *received: Message, **extra: Any) -> Client:
    """One whole request."""

    async def run() -> Client:
        client = Client(*(received or (END,)))
        await app(scope(path, method, **extra), client.receive, client.send)
        return client

    return asyncio.run(run())
