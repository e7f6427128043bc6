"""Measures aiohttp's own server, by the resources of its router.

The server uses neither WSGI nor ASGI. Its requests are translated into ASGI scopes and messages, so that the
ASGI middleware measures them and answers scrapes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from otel_obs.host.changes import Replacements
from otel_obs.http.asgi_types import AsgiMessage, AsgiScope
from otel_obs.http.faces import AsgiFace, Faces
from otel_obs.http.nesting import MARK, SETTLED

_TALK = "otel_obs.talk"
"""The key under which a request keeps its `AiohttpTalk`."""

_changes = Replacements()


def uninstall() -> None:
    """Stop measuring, and put the original methods back."""
    _faces.restore()
    _changes.undo()


def watch() -> None:
    """Replace methods of applications, of requests (the start of an answer) and of websockets."""
    from aiohttp.web_app import Application
    from aiohttp.web_request import Request
    from aiohttp.web_ws import WebSocketResponse

    if _faces.add(AiohttpFace(Application, _declares)):
        _changes.make(Request, "_prepare_hook", _telling)
        _changes.make(WebSocketResponse, "close", _closing)
        _changes.make(WebSocketResponse, "receive", _receiving)
        for name in ("send_str", "send_bytes"):
            _changes.make(WebSocketResponse, name, _sending)


_faces = Faces(watch)
instrument_app, install = _faces.instrument_app, _faces.install


class AiohttpFace(AsgiFace):
    """The face of aiohttp, whose server calls `_handle` of the outermost application for each request."""

    method = "_handle"

    def _measured_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        async def measured_call(app: Any, request: Any) -> Any:
            measuring = self.of(app)
            talk = AiohttpTalk(request)
            exchange = None if measuring is None else measuring.begin(talk.scope, talk.receive, talk.send)
            if exchange is None:
                return await call(app, request)
            if exchange is measuring:
                await measuring.serve(talk.scope, talk.send)
                return talk.answer()
            try:
                return await talk.measure(exchange, lambda: call(app, request))
            finally:
                talk.let_go()

        return measured_call


class AiohttpTalk:
    """One request and its response, translated into the messages of ASGI."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._sent: list[AsgiMessage] = []
        self._exchange: Any = None
        self._has_begun = False
        self._has_accepted = False
        self._code: int | None = None
        is_websocket = request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
        scheme = request.scheme
        self.scope: AsgiScope = {
            "type": "websocket" if is_websocket else "http",
            "method": request.method,
            "path": request.path,
            "raw_path": request.raw_path.partition("?")[0].encode("latin-1", "replace"),
            "query_string": request.query_string.encode("latin-1", "replace"),
            "scheme": {"http": "ws", "https": "wss"}.get(scheme, scheme) if is_websocket else scheme,
            "http_version": f"{request.version.major}.{request.version.minor}",
            "headers": [(name.lower(), value) for name, value in request.raw_headers],
            "root_path": "",
        }

    @property
    def disconnected(self) -> bool:
        """Whether the client has left."""
        transport = self._request.transport
        return transport is None or transport.is_closing()

    async def receive(self) -> AsgiMessage:
        """Return a message for a websocket. For a request, wait for ever: the application reads it itself."""
        if self.scope["type"] == "websocket":
            return {"type": "websocket.receive"}
        if not self.disconnected:
            await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(self, message: AsgiMessage) -> None:
        """Keep a message for `answer`; a response of the application is sent by aiohttp itself."""
        if self._sent or message["type"] == "http.response.start":
            self._sent.append(message)

    def answer(self) -> Any:
        """Make an aiohttp response from the messages of a scrape."""
        from aiohttp.web import Response
        from multidict import CIMultiDict

        start, *parts = self._sent
        headers = CIMultiDict((name.decode(), value.decode("latin-1")) for name, value in start["headers"])
        body = b"".join(part.get("body", b"") for part in parts)
        if self.scope["method"] == "HEAD":
            return Response(status=start["status"], headers=headers)
        headers.pop("content-length", None)
        return Response(status=start["status"], headers=headers, body=body)

    async def measure(self, exchange: Any, handle: Callable[[], Any]) -> Any:
        """Have the application answer, and report the response or the exception to *exchange*."""
        from aiohttp.web import HTTPException

        self._exchange = exchange
        self._request._state[_TALK] = self  # not `request[_TALK]`, for which aiohttp would warn
        try:
            response = await handle()
        except HTTPException as answer:
            await self._end(answer)
            raise
        except BaseException as error:
            self._match()
            exchange.fail(error)
            raise
        await self._end(response)
        return response

    def let_go(self) -> None:
        """Break the cycle of the request, this talk, the exchange and the scope: each refers to the next."""
        self._request._state.pop(_TALK, None)
        self._exchange = None
        self.scope[MARK] = SETTLED

    async def begin(self, response: Any) -> None:
        """Report the start of the response; a websocket is open from then on."""
        if not self._has_begun:
            self._has_begun = True
            self._match()
            await self._exchange.send(self._start(response))

    def close(self, code: int) -> None:
        """Note the code with which the application closes the websocket; the first code counts."""
        self._code = self._code or code

    async def sent(self) -> None:
        """Count a message to the client."""
        await self._exchange.send({"type": "websocket.send"})

    async def received(self) -> None:
        """Count a message from the client."""
        await self._exchange.receive()

    async def _end(self, response: Any) -> None:
        await self.begin(response)
        if self.scope["type"] == "websocket":
            code = self._code or getattr(response, "close_code", None)
            if code is not None and self._has_accepted:
                await self._exchange.send({"type": "websocket.close", "code": code})
            self._exchange.returned()
        elif response is None or self.disconnected:
            self._exchange.returned()
        else:
            body = getattr(response, "body", None)
            body = body if isinstance(body, bytes | bytearray) else b""
            await self._exchange.send({"type": "http.response.body", "body": body})
            if not self._exchange.is_done:
                self._exchange.returned()

    def _start(self, response: Any) -> AsgiMessage:
        from aiohttp.web import WebSocketResponse

        if isinstance(response, WebSocketResponse):
            self._has_accepted = True
            return {"type": "websocket.accept"}
        kind = "websocket.http" if self.scope["type"] == "websocket" else "http"
        headers = getattr(response, "headers", None) or {}
        raw = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        return {"type": f"{kind}.response.start", "status": getattr(response, "status", 500), "headers": raw}

    def _match(self) -> None:
        """Report the template of the matched resource, if any."""
        info = self._request._match_info
        resource = getattr(getattr(info, "route", None), "resource", None)
        if resource is not None:
            self._exchange.match(self.scope, template_of(resource))


def template_of(resource: Any) -> str:
    """The template of a resource: `/items/{number}`, and `/static/{path}` for files below a prefix."""
    facts: Mapping[str, Any] = resource.get_info()
    if "prefix" in facts or "directory" in facts:
        return f"{resource.canonical.rstrip('/')}/{{path}}"
    template: str = resource.canonical
    return template


def _telling(prepare: Callable[..., Any]) -> Callable[..., Any]:
    async def telling(self: Any, response: Any) -> None:
        talk = self._state.get(_TALK)
        if talk is not None:
            await talk.begin(response)
        await prepare(self, response)

    return telling


def _talk_of(response: Any) -> AiohttpTalk | None:
    request = getattr(response, "_req", None)
    talk: AiohttpTalk | None = None if request is None else request._state.get(_TALK)
    return talk


def _closing(close: Callable[..., Any]) -> Callable[..., Any]:
    async def closing(self: Any, *, code: int = 1000, **options: Any) -> Any:
        talk = _talk_of(self)
        if talk is not None and self.close_code is None:
            talk.close(int(code))
        return await close(self, code=code, **options)

    return closing


def _sending(send: Callable[..., Any]) -> Callable[..., Any]:
    async def sending(self: Any, *args: Any, **options: Any) -> Any:
        await send(self, *args, **options)
        talk = _talk_of(self)
        if talk is not None:
            await talk.sent()

    return sending


def _receiving(receive: Callable[..., Any]) -> Callable[..., Any]:
    async def receiving(self: Any, *args: Any, **options: Any) -> Any:
        message = await receive(self, *args, **options)
        talk = _talk_of(self)
        if talk is not None and message.type.name in ("TEXT", "BINARY"):
            await talk.received()
        return message

    return receiving


def _declares(app: Any, path: str) -> bool:
    """Whether the application has a route of exactly *path*."""
    return any(resource.canonical == path for resource in app.router.resources())
