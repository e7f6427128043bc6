"""Plain ASGI applications: what is recorded of them, and that they do not notice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from otel_obs.http.asgi import AsgiMiddleware
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.observe import ExtraLabels
from otel_obs.http.profiles import SemconvProfile
from tests.http import drive
from tests.http.drive import Client, Message
from tests.http.recorded import Distribution, Recorded

UNKNOWN = "__unknown__"
OK = ("GET", UNKNOWN, "200")
LEFT = ("GET", UNKNOWN, "499")
FAILED = ("GET", UNKNOWN, "500")


def start(status: int = 200, **extra: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": [], **extra}


def body(data: bytes = b"", **extra: Any) -> Message:
    return {"type": "http.response.body", "body": data, **extra}


def sending(*messages: Message, then: BaseException | None = None) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app


def test_a_response_is_counted_and_timed() -> None:
    recorded = Recorded()
    client = drive.asgi(AsgiMiddleware(sending(start(), body(b"hello")), recorded.observer))
    assert (client.status, client.body) == (200, b"hello")
    assert recorded.requests() == {OK: 1}
    assert recorded.durations()["GET", UNKNOWN].count == 1
    assert (recorded.in_progress(), recorded.first_bytes(), recorded.errors()) == (0, {}, {})


def test_a_request_is_in_progress_until_its_last_byte_and_background_tasks_do_not_count() -> None:
    recorded, seen = Recorded(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(recorded.in_progress())
        await send(start())
        await send(body(b"a", more_body=True))
        seen.append(recorded.in_progress())
        await send(body(b"b"))
        seen.append(recorded.in_progress())
        await asyncio.sleep(0.05)

    drive.asgi(AsgiMiddleware(app, recorded.observer))
    assert seen == [1, 1, 0]
    assert recorded.requests() == {OK: 1}
    assert recorded.durations()["GET", UNKNOWN].sum < 0.05


def test_a_stream_has_a_time_to_first_byte() -> None:
    recorded = Recorded()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"", more_body=True))
        await send(body(b"a", more_body=True))
        await asyncio.sleep(0.02)
        await send(body())

    drive.asgi(AsgiMiddleware(app, recorded.observer))
    first, whole = recorded.first_bytes()[UNKNOWN], recorded.durations()["GET", UNKNOWN]
    assert first.count == 1
    assert first.sum + 0.02 <= whole.sum


def test_a_part_that_is_all_that_was_declared_has_no_time_to_first_byte() -> None:
    """As every response is that has passed through Starlette's BaseHTTPMiddleware."""
    recorded = Recorded(sizes=True)
    headers = [(b"content-length", b"5")]
    messages = start(headers=headers), body(b"hello", more_body=True), body()
    drive.asgi(AsgiMiddleware(sending(*messages), recorded.observer))
    assert (recorded.requests(), recorded.first_bytes()) == ({OK: 1}, {})
    assert recorded.of("response_size")[0][1] == Distribution(1, 5)


def test_trailers_are_the_end() -> None:
    recorded, seen = Recorded(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(trailers=True))
        await send(body(b"a"))
        for is_last in (False, True):
            seen.append(recorded.in_progress())
            await send({"type": "http.response.trailers", "headers": [], "more_trailers": not is_last})
        seen.append(recorded.in_progress())

    drive.asgi(AsgiMiddleware(app, recorded.observer))
    assert seen == [1, 1, 0]
    assert recorded.requests() == {OK: 1}


def test_a_file_that_the_server_sends_by_itself_is_the_end() -> None:
    recorded = Recorded()
    path = {"type": "http.response.pathsend", "path": "/x"}
    drive.asgi(AsgiMiddleware(sending(start(), path), recorded.observer))
    assert (recorded.requests(), recorded.in_progress()) == ({OK: 1}, 0)


def test_other_messages_pass() -> None:
    recorded = Recorded()
    hint = {"type": "http.response.early_hint", "links": []}
    client = drive.asgi(AsgiMiddleware(sending(hint, start(), body()), recorded.observer))
    assert client.sent[0] == hint
    assert recorded.requests() == {OK: 1}


@pytest.mark.parametrize(
    "messages", [[], [start()], [start(), body(b"a", more_body=True)]], ids=["unsent", "started", "streaming"]
)
def test_an_exception_is_a_500_and_an_error(messages: list[Message]) -> None:
    recorded = Recorded()
    with pytest.raises(ZeroDivisionError):
        drive.asgi(AsgiMiddleware(sending(*messages, then=ZeroDivisionError()), recorded.observer))
    assert recorded.requests() == {FAILED: 1}
    assert (recorded.errors(), recorded.in_progress()) == ({"ZeroDivisionError": 1}, 0)


def test_an_answered_exception_is_counted_once_with_the_answers_status() -> None:
    recorded = Recorded()
    with pytest.raises(ZeroDivisionError):
        drive.asgi(AsgiMiddleware(sending(start(503), body(), then=ZeroDivisionError()), recorded.observer))
    assert recorded.requests() == {("GET", UNKNOWN, "503"): 1}
    assert (recorded.errors(), recorded.in_progress()) == ({"ZeroDivisionError": 1}, 0)


def test_an_error_of_a_background_task_is_counted_but_does_not_change_the_request() -> None:
    recorded = Recorded()
    with pytest.raises(ZeroDivisionError):
        drive.asgi(AsgiMiddleware(sending(start(), body(), then=ZeroDivisionError()), recorded.observer))
    assert (recorded.requests(), recorded.errors()) == ({OK: 1}, {"ZeroDivisionError": 1})


def test_a_500_without_an_exception_is_no_error() -> None:
    recorded = Recorded()
    drive.asgi(AsgiMiddleware(sending(start(500), body()), recorded.observer))
    assert (recorded.requests(), recorded.errors(), recorded.in_progress()) == ({FAILED: 1}, {}, 0)


@pytest.mark.parametrize("messages", [[], [start(), body(b"a", more_body=True)]], ids=["unsent", "streaming"])
def test_an_application_that_does_not_finish_has_failed(messages: list[Message]) -> None:
    recorded = Recorded()
    drive.asgi(AsgiMiddleware(sending(*messages), recorded.observer))
    assert (recorded.requests(), recorded.in_progress()) == ({FAILED: 1}, 0)


class ClientDisconnect(Exception):
    """As Starlette's."""


@pytest.mark.parametrize("messages", [[], [start(), body(b"a", more_body=True)]], ids=["before", "during"])
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), ClientDisconnect()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("has_left", [True, False], ids=["left", "there"])
def test_whether_a_client_left_is_asked_of_the_connection(
    messages: list[Message], error: BaseException, has_left: bool
) -> None:
    recorded, cycle = Recorded(), Cycle()
    cycle.disconnected = has_left

    async def run() -> None:
        await AsgiMiddleware(sending(*messages, then=error), recorded.observer)(
            drive.scope(), cycle.receive, cycle.send
        )

    with pytest.raises(type(error)):
        asyncio.run(run())
    expected = ({LEFT: 1}, {}) if has_left else ({FAILED: 1}, {type(error).__name__: 1})
    assert (recorded.requests(), recorded.errors(), recorded.in_progress()) == (*expected, 0)


def test_a_request_that_is_cancelled_is_499_where_the_connection_does_not_tell() -> None:
    recorded, began = Recorded(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await asyncio.sleep(60)

    async def run() -> None:
        client = Client()
        serve = AsgiMiddleware(app, recorded.observer)(drive.scope(), client.receive, client.send)
        task = asyncio.ensure_future(serve)
        await began.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert (recorded.requests(), recorded.errors(), recorded.in_progress()) == ({LEFT: 1}, {}, 0)


@pytest.mark.parametrize("status", [500, 503])
def test_a_backend_that_refuses_is_an_error(status: int) -> None:
    """Starlette answers first, and raises then."""
    recorded = Recorded()
    app = AsgiMiddleware(sending(start(status), body(), then=ConnectionRefusedError()), recorded.observer)
    with pytest.raises(ConnectionRefusedError):
        drive.asgi(app)
    assert recorded.errors() == {"ConnectionRefusedError": 1}


@pytest.mark.parametrize("kind", ["pathsend", "zerocopysend"])
@pytest.mark.parametrize("has_length", [True, False])
def test_the_size_of_what_the_server_sends_of_a_file(kind: str, has_length: bool, tmp_path: Path) -> None:
    recorded, file = Recorded(sizes=True), tmp_path / "file"
    file.write_bytes(b"x" * 500)
    headers = [(b"content-length", b"500")] if has_length else []
    with file.open("rb") as opened:
        message = {"type": f"http.response.{kind}", "path": str(file)}
        if kind == "zerocopysend":
            message: Message = {"type": f"http.response.{kind}", "file": opened}  # type: ignore[no-redef]
        drive.asgi(AsgiMiddleware(sending(start(headers=headers), message), recorded.observer))
    assert (recorded.requests(), recorded.in_progress()) == ({OK: 1}, 0)
    assert recorded.of("response_size")[0][1] == Distribution(1, 500)


def test_parts_of_a_file_go_on_until_the_last() -> None:
    recorded, seen = Recorded(sizes=True), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for is_last in (False, True):
            part = {"type": "http.response.zerocopysend", "file": None, "count": 7, "more_body": not is_last}
            await send(part)
            seen.append(recorded.in_progress())

    drive.asgi(AsgiMiddleware(app, recorded.observer))
    assert seen == [1, 0]
    assert recorded.of("response_size")[0][1] == Distribution(1, 14)


def test_a_disconnect_that_is_told_after_the_whole_response_is_no_departure() -> None:
    recorded = Recorded(SemconvProfile())

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(500))
        await send(body())
        await receive()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        drive.asgi(AsgiMiddleware(app, recorded.observer), "/", "GET", {"type": "http.disconnect"})
    (labels, _), *_ = recorded.of("duration")
    assert labels["error.type"] == "ZeroDivisionError"
    assert recorded.errors() == {"ZeroDivisionError": 1}


class ClientDisconnect(Exception):  # type: ignore[no-redef]
    """What Starlette raises where a body is read whose client has left."""


@pytest.mark.parametrize("error", [ClientDisconnect(), ZeroDivisionError()])
@pytest.mark.parametrize("naming", [None, SemconvProfile()], ids=["classic", "semconv"])
def test_who_left_while_sending_got_no_500(error: Exception, naming: Any) -> None:
    recorded = Recorded(naming)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "http.disconnect"
        await send(start(500))
        await send(body())
        raise error

    with pytest.raises(type(error)):
        drive.asgi(AsgiMiddleware(app, recorded.observer), "/", "POST", {"type": "http.disconnect"})
    if naming is None:
        assert recorded.requests() == {("POST", UNKNOWN, "499"): 1}
    assert recorded.of("errors") == []


@pytest.mark.parametrize("more", [[], [start(), body(b"a", more_body=True)], [start(), body(b"a")]])
def test_a_client_that_the_application_saw_leave_is_499(more: list[Message]) -> None:
    recorded = Recorded()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        for message in more:
            await send(message)

    drive.asgi(AsgiMiddleware(app, recorded.observer), "/", "GET", {"type": "http.disconnect"})
    assert (recorded.requests(), recorded.in_progress()) == ({LEFT: 1}, 0)


@pytest.mark.parametrize(("more_body", "expected"), [(True, LEFT), (False, OK)])
def test_a_response_that_cannot_be_sent_is_499_unless_it_was_the_last_message(
    more_body: bool, expected: Any
) -> None:
    recorded = Recorded()

    async def broken(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    async def run() -> None:
        client = Client(send=broken)
        app = AsgiMiddleware(sending(start(), body(b"a", more_body=more_body)), recorded.observer)
        await app(drive.scope(), client.receive, client.send)

    with pytest.raises(BrokenPipeError):
        asyncio.run(run())
    assert (recorded.requests(), recorded.errors(), recorded.in_progress()) == ({expected: 1}, {}, 0)


class ErrorGroup(Exception):
    """As an ExceptionGroup, which Python 3.10 does not have."""

    def __init__(self, *exceptions: Exception) -> None:
        self.exceptions = exceptions


@pytest.mark.parametrize(
    ("inside", "expected", "errors"),
    [
        ([BrokenPipeError()], LEFT, {}),
        ([BrokenPipeError(), ErrorGroup(ClientDisconnect())], LEFT, {}),
        ([BrokenPipeError(), KeyError()], FAILED, {"ErrorGroup": 1}),
    ],
)
def test_a_task_group_that_could_not_send_is_499(inside: Any, expected: Any, errors: Any) -> None:
    recorded = Recorded()

    async def broken(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise BrokenPipeError

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await sending(start(), body(b"a", more_body=True))(scope, receive, send)
        except BrokenPipeError:
            raise ErrorGroup(*inside) from None

    async def run() -> None:
        client = Client(send=broken)
        await AsgiMiddleware(app, recorded.observer)(drive.scope(), client.receive, client.send)

    with pytest.raises(ErrorGroup):
        asyncio.run(run())
    assert (recorded.requests(), recorded.errors(), recorded.in_progress()) == ({expected: 1}, errors, 0)


def test_who_has_an_answer_finds_it_counted() -> None:
    recorded, seen = Recorded(), []

    async def look(message: Message) -> None:
        seen.append(dict(recorded.requests()))

    async def run() -> None:
        for status in (200, 500):
            client = Client(send=look)
            app = AsgiMiddleware(sending(start(status), body(b"a")), recorded.observer)
            await app(drive.scope(), client.receive, client.send)

    asyncio.run(run())
    assert seen == [{}, {OK: 1}, {OK: 1}, {OK: 1, FAILED: 1}]


class Cycle:
    """As uvicorn's: it knows that the client has gone, and throws away what is sent then."""

    def __init__(self) -> None:
        self.disconnected = False

    async def receive(self) -> Message:
        return drive.END

    async def send(self, message: Message) -> None:
        pass


async def _ask(app: Any, cycle: Any) -> None:
    await app(drive.scope(), cycle.receive, cycle.send)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([start(), body(b"abc")], LEFT),
        ([start(), body(b"abc", more_body=True), body()], LEFT),
        ([start(headers=[(b"content-length", b"3")]), body(b"abc", more_body=True), body()], OK),
    ],
    ids=["answer", "stream", "had all that was declared"],
)
def test_a_client_that_only_the_server_saw_leave_is_499(
    messages: list[Message], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otel_obs.http.asgi_exchange.PATIENCE_S", 0)
    recorded, cycle = Recorded(), Cycle()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages[:-1]:
            await send(message)
        cycle.disconnected = True
        await send(messages[-1])

    asyncio.run(_ask(AsgiMiddleware(app, recorded.observer), cycle))
    assert recorded.requests() == {expected: 1}


def test_what_was_looked_at_in_a_queue_is_still_given_to_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("otel_obs.http.asgi_exchange.PATIENCE_S", 0)
    recorded, given = Recorded(), []

    async def run() -> None:
        queue: asyncio.Queue[Message] = asyncio.Queue()
        for message in (drive.END, {"type": "http.disconnect"}):
            queue.put_nowait(message)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start())
            await send(body())
            given.extend([await receive(), await receive()])

        async def send(message: Message) -> None:
            pass

        await AsgiMiddleware(app, recorded.observer)(drive.scope(), queue.get, send)

    asyncio.run(run())
    assert given == [drive.END, {"type": "http.disconnect"}]
    assert recorded.requests() == {LEFT: 1}


def test_sizes_are_right_for_streams_and_under_concurrency() -> None:
    recorded = Recorded(sizes=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size = int(scope["path"][1:])
        while (await receive()).get("more_body"):
            pass
        await send(start())
        for _ in range(3):
            await asyncio.sleep(0)
            await send(body(b"x" * size, more_body=True))
        await send(body())

    async def run() -> None:
        measured = AsgiMiddleware(app, recorded.observer)
        clients = [
            Client({"type": "http.request", "body": b"y" * size, "more_body": True}, drive.END)
            for size in range(1, 21)
        ]
        await asyncio.gather(
            *(
                measured(drive.scope(f"/{size}"), client.receive, client.send)
                for size, client in enumerate(clients, 1)
            )
        )

    asyncio.run(run())
    assert recorded.of("response_size")[0][1] == Distribution(20, 630)
    assert recorded.of("request_size")[0][1] == Distribution(20, 210)


def test_lifespan_is_untouched() -> None:
    recorded, seen = Recorded(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    scope, client = {"type": "lifespan"}, Client()
    asyncio.run(AsgiMiddleware(app, recorded.observer)(scope, client.receive, client.send))
    assert seen == [(scope, client.receive, client.send)]
    assert scope == {"type": "lifespan"}
    assert list(recorded.series()) == []


def test_layers_within_layers_count_once() -> None:
    recorded = Recorded()
    inner = AsgiMiddleware(sending(start(), body()), recorded.observer)

    async def copying(scope: Any, receive: Any, send: Any) -> None:
        await inner(dict(scope), receive, send)

    drive.asgi(AsgiMiddleware(AsgiMiddleware(copying, recorded.observer), recorded.observer))
    assert recorded.requests() == {OK: 1}


def test_excluded_requests_leave_no_trace() -> None:
    recorded = Recorded(exclude=Exclusion(["^/health$", "://127.0.0.1/internal"]))
    app = AsgiMiddleware(AsgiMiddleware(sending(start(), body()), recorded.observer), recorded.observer)
    for path in ("/health", "/internal/x", "/other"):
        drive.asgi(app, path)
    assert recorded.requests() == {OK: 1}


def test_extra_attributes_come_from_request_and_response() -> None:
    def of(scope: Any, status: int, headers: Any) -> dict[str, object]:
        return {"plan": dict(headers)[b"x-plan"].decode(), "kind": scope["type"]}

    recorded = Recorded(extra=ExtraLabels(("plan", "kind"), of))
    app = AsgiMiddleware(sending(start(headers=[(b"x-plan", b"gold")]), body()), recorded.observer)
    drive.asgi(app)
    drive.asgi(app)
    labels = {"plan": "gold", "kind": "http", "method": "GET", "endpoint": UNKNOWN}
    assert recorded.of("requests") == [({**labels, "status_code": "200"}, 2)]


def test_what_goes_wrong_with_us_goes_wrong_without_the_application(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(is_strict=False)

    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    for name in ("entry", "finish"):
        with monkeypatch.context() as patch:
            patch.setattr(recorded.observer, name, broken)
            for _ in range(2):
                app = AsgiMiddleware(sending(start(), body(b"x")), recorded.observer)
                assert drive.asgi(app).body == b"x"
    assert [record.message for record in caplog.records] == [
        "the begin of a request could not be recorded; the request was served",
        "the end of a request could not be recorded; the request was served",
    ]
