"""A websocket is a connection: open, duration, messages, close code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otel_obs.http.asgi import AsgiMiddleware
from tests.http import drive
from tests.http.drive import Client, Message
from tests.http.recorded import Recorded

CONNECT = {"type": "websocket.connect"}
ACCEPT = {"type": "websocket.accept"}
TEXT = {"type": "websocket.receive", "text": "hi"}
SEND = {"type": "websocket.send", "text": "ho"}


def gone(code: int | None = 1001) -> Message:
    return {"type": "websocket.disconnect", "code": code}


def close(code: int = 1000) -> Message:
    return {"type": "websocket.close", "code": code}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == CONNECT
    await send(ACCEPT)
    while (await receive())["type"] == "websocket.receive":
        await send(SEND)


def talk(app: Any, *received: Message) -> Recorded:
    recorded = Recorded()
    client = Client(CONNECT, *received)
    scope = drive.scope("/ws", kind="websocket")
    asyncio.run(AsgiMiddleware(app, recorded.observer)(scope, client.receive, client.send))
    return recorded


def codes(recorded: Recorded) -> dict[str, float]:
    return {labels["close_code"]: value for labels, value in recorded.of("websocket_connections")}


def messages(recorded: Recorded) -> dict[str, float]:
    return {labels["direction"]: value for labels, value in recorded.of("websocket_messages")}


def test_a_conversation() -> None:
    recorded = talk(echo, TEXT, TEXT, TEXT, gone(1001))
    assert codes(recorded) == {"1001": 1}
    assert messages(recorded) == {"in": 3, "out": 3}
    assert [value for _, value in recorded.of("websocket_open")] == [0]
    assert [value.count for _, value in recorded.of("websocket_duration")] == [1]
    assert recorded.requests() == {}
    assert recorded.in_progress() == 0


def test_it_is_open_from_accept_to_end() -> None:
    recorded = Recorded()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        seen.extend(value for _, value in recorded.of("websocket_open"))

    client = Client()
    scope = drive.scope(kind="websocket")
    asyncio.run(AsgiMiddleware(app, recorded.observer)(scope, client.receive, client.send))
    assert seen == [1]
    assert [value for _, value in recorded.of("websocket_open")] == [0]


@pytest.mark.parametrize(
    ("sent", "received", "code"),
    [
        ([ACCEPT, close(4001)], [], "4001"),
        ([ACCEPT, {"type": "websocket.close"}], [], "1000"),
        ([ACCEPT], [], "1000"),
        ([ACCEPT], [gone(1001)], "1001"),
        ([ACCEPT], [gone(None)], "1005"),
        ([ACCEPT], [gone(3999)], "_OTHER"),
        ([close(4001)], [], "403"),
        ([{"type": "websocket.http.response.start", "status": 401, "headers": []}], [], "401"),
        ([], [], "403"),
    ],
)
def test_close_codes(sent: list[Message], received: list[Message], code: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in sent:
            await send(message)
        for _ in received:
            await receive()

    recorded = talk(app, *received)
    assert codes(recorded) == {code: 1}
    assert [value for _, value in recorded.of("websocket_open")] in ([], [0])


@pytest.mark.parametrize(("is_accepted", "code"), [(True, "1011"), (False, "500")])
def test_an_exception_is_an_error(is_accepted: bool, code: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if is_accepted:
            await send(ACCEPT)
        raise LookupError

    recorded = Recorded()
    client = Client()
    scope = drive.scope(kind="websocket")
    with pytest.raises(LookupError):
        asyncio.run(AsgiMiddleware(app, recorded.observer)(scope, client.receive, client.send))
    assert (codes(recorded), recorded.errors()) == ({code: 1}, {"LookupError": 1})


def test_a_cancelled_connection_is_abnormal_and_no_error() -> None:
    began = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        began.set()
        await asyncio.sleep(60)

    recorded = Recorded()

    async def run() -> None:
        client = Client()
        scope = drive.scope(kind="websocket")
        task = asyncio.ensure_future(
            AsgiMiddleware(app, recorded.observer)(scope, client.receive, client.send)
        )
        await began.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert (codes(recorded), recorded.errors()) == ({"1006": 1}, {})
    assert [value for _, value in recorded.of("websocket_open")] == [0]
