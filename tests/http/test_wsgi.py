"""Plain WSGI applications: what is recorded of them, and that they do not notice."""

from __future__ import annotations

import io
import logging
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from otel_obs.http.exclusion import Exclusion
from otel_obs.http.observe import ExtraLabels
from otel_obs.http.wsgi import WsgiMiddleware
from tests.http import drive
from tests.http.recorded import Distribution, Recorded

UNKNOWN = "__unknown__"
OK = ("GET", UNKNOWN, "200")


class Stream:
    """A response body that is closed, and says so."""

    def __init__(self, chunks: list[Any]) -> None:
        self._chunks = iter(chunks)
        self.closed = 0

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk  # type: ignore[no-any-return]

    def close(self) -> None:
        self.closed += 1


def answering(body: Any, status: str = "200 OK", *headers: tuple[str, str]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return body

    return app


def serve(body: Any, status: str = "200 OK", *headers: tuple[str, str], **options: Any) -> Recorded:
    recorded = Recorded()
    drive.wsgi(WsgiMiddleware(answering(body, status, *headers), recorded.observer), **options)
    return recorded


def test_a_list_is_given_to_the_server_as_it_is() -> None:
    recorded, body = Recorded(), [b"hello"]
    app = WsgiMiddleware(answering(body), recorded.observer)
    assert app(drive.environ(), lambda *_: print) is body
    assert recorded.requests() == {OK: 1}


@pytest.mark.parametrize(
    ("method", "label"),
    [("GET", "GET"), ("POST", "POST"), ("OPTIONS", "OPTIONS"), ("BREW", "_OTHER"), ("get", "GET")],
)
def test_unknown_methods_are_other(method: str, label: str) -> None:
    assert serve([b""], method=method).requests() == {(label, UNKNOWN, "200"): 1}


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "QUERY"])
def test_a_method_that_is_seldom_served_has_no_series_of_its_own_without_a_route(method: str) -> None:
    assert serve([b""], method=method).requests() == {("_OTHER", UNKNOWN, "200"): 1}


def test_head_counts_although_nothing_is_iterated() -> None:
    recorded, body = Recorded(), Stream([b"x"])
    app = WsgiMiddleware(answering(body), recorded.observer)
    result: Any = app(drive.environ(method="HEAD"), lambda *_: print)
    result.close()
    assert recorded.requests() == {("HEAD", UNKNOWN, "200"): 1}
    assert recorded.in_progress() == 0


def test_a_stream_lasts_until_its_last_byte_and_has_a_time_to_first_byte() -> None:
    recorded, now = Recorded(), drive.environ()
    body = Stream([b"", b"a", b"b"])
    result = WsgiMiddleware(answering(body), recorded.observer)(now, lambda *_: print)
    chunks = iter(result)
    assert [next(chunks), next(chunks)] == [b"", b"a"]
    assert (recorded.requests(), recorded.in_progress()) == ({}, 1)
    assert list(chunks) == [b"b"]
    assert (recorded.requests(), recorded.in_progress()) == ({OK: 1}, 0)
    result.close()  # type: ignore[attr-defined]
    assert body.closed == 1
    assert recorded.requests() == {OK: 1}
    first, whole = recorded.first_bytes()[UNKNOWN], recorded.durations()["GET", UNKNOWN]
    assert first.count == 1
    assert 0 < first.sum < whole.sum


def test_a_response_of_declared_length_has_no_time_to_first_byte() -> None:
    recorded = serve(Stream([b"hello"]), "200 OK", ("content-length", "5"))
    assert recorded.requests() == {OK: 1}
    assert recorded.first_bytes() == {}


def test_all_declared_bytes_are_the_end_though_nobody_asks_for_more() -> None:
    recorded = Recorded()
    app = WsgiMiddleware(
        answering(Stream([b"hel", b"lo"]), "200 OK", ("Content-Length", "5")), recorded.observer
    )
    chunks = iter(app(drive.environ(), lambda *_: print))
    next(chunks)
    assert recorded.requests() == {}
    next(chunks)
    assert recorded.requests() == {OK: 1}


def test_closing_before_the_end_is_499() -> None:
    recorded, body = Recorded(), Stream([b"a", b"b"])
    result: Any = WsgiMiddleware(answering(body), recorded.observer)(drive.environ(), lambda *_: print)
    assert next(iter(result)) == b"a"
    result.close()
    assert recorded.requests() == {("GET", UNKNOWN, "499"): 1}
    assert (recorded.in_progress(), body.closed) == (0, 1)


def test_a_body_that_is_never_asked_for_is_499() -> None:
    recorded = Recorded()
    result: Any = WsgiMiddleware(answering(Stream([b"a"])), recorded.observer)(
        drive.environ(), lambda *_: print
    )
    result.close()
    assert recorded.requests() == {("GET", UNKNOWN, "499"): 1}


def test_an_exception_is_a_500_and_an_error_and_is_raised_again() -> None:
    recorded = Recorded()

    def app(environ: Any, start_response: Any) -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        drive.wsgi(WsgiMiddleware(app, recorded.observer))
    assert recorded.requests() == {("GET", UNKNOWN, "500"): 1}
    assert (recorded.errors(), recorded.in_progress()) == ({"ValueError": 1}, 0)


def test_an_exception_in_the_middle_of_a_stream_is_a_500() -> None:
    recorded, body = Recorded(), Stream([b"a", KeyError("k")])
    with pytest.raises(KeyError):
        drive.wsgi(WsgiMiddleware(answering(body), recorded.observer))
    assert recorded.requests() == {("GET", UNKNOWN, "500"): 1}
    assert (recorded.errors(), recorded.in_progress(), body.closed) == ({"KeyError": 1}, 0, 1)


def test_an_application_that_is_a_generator_is_timed_to_its_end() -> None:
    recorded = Recorded()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("202 Accepted", [])
        yield b"a"
        yield b"b"

    assert drive.wsgi(WsgiMiddleware(app, recorded.observer)).body == b"ab"
    assert recorded.requests() == {("GET", UNKNOWN, "202"): 1}


def test_start_response_with_an_exception_counts_it() -> None:
    recorded = Recorded()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("503 Busy", [], (OSError, OSError("x"), None))
        return [b"busy"]

    assert drive.wsgi(WsgiMiddleware(app, recorded.observer)).status == "503 Busy"
    assert recorded.requests() == {("GET", UNKNOWN, "503"): 1}
    assert recorded.errors() == {"OSError": 1}


def test_what_is_written_by_hand_is_sent_and_counted() -> None:
    recorded = Recorded(sizes=True)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"abc")
        return [b"de"]

    assert drive.wsgi(WsgiMiddleware(app, recorded.observer)).body == b"abcde"
    assert recorded.of("response_size") == [
        ({"method": "GET", "endpoint": UNKNOWN}, Distribution(1, 5)),
    ]


@pytest.mark.parametrize(
    ("extra", "received"),
    [
        ({"body": b"12345"}, 5),
        ({"CONTENT_LENGTH": "5", "wsgi.input": io.BytesIO(b"12345")}, 5),
    ],
)
def test_sizes_are_those_of_the_bodies(extra: dict[str, Any], received: int) -> None:
    recorded = Recorded(sizes=True)
    drive.wsgi(
        WsgiMiddleware(answering(Stream([b"abc", b"defg"])), recorded.observer), method="POST", **extra
    )
    labels = {"method": "POST", "endpoint": UNKNOWN}
    assert recorded.of("request_size") == [(labels, Distribution(1, received))]
    assert recorded.of("response_size") == [(labels, Distribution(1, 7))]


@pytest.mark.parametrize("length", [None, ""])
def test_a_request_body_of_unknown_length_is_counted_as_it_is_read(length: str | None) -> None:
    recorded = Recorded(sizes=True)

    def app(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        assert [stream.read(2), stream.readline(), stream.readlines(), list(stream)] == [
            b"ab",
            b"c\n",
            [b"d\n"],
            [],
        ]
        start_response("204 No Content", [])
        return []

    given = drive.environ(method="PUT", **{"wsgi.input": io.BytesIO(b"abc\nd\n"), "CONTENT_LENGTH": length})  # type: ignore[arg-type]
    if length is None:
        del given["CONTENT_LENGTH"]
    WsgiMiddleware(app, recorded.observer)(given, lambda *_: print)
    assert recorded.of("request_size") == [({"method": "PUT", "endpoint": UNKNOWN}, Distribution(1, 6))]


def test_a_request_body_that_is_read_into_a_buffer_is_counted() -> None:
    recorded = Recorded(sizes=True)

    def app(environ: Any, start_response: Any) -> Any:
        stream, buffer = environ["wsgi.input"], bytearray(3)
        assert (stream.readinto(buffer), stream.read1(2), stream.read1()) == (3, b"d\n", b"e")
        assert stream.seekable()
        start_response("204 No Content", [])
        return []

    given = drive.environ(method="PUT", **{"wsgi.input": io.BytesIO(b"abcd\ne")})  # type: ignore[arg-type]
    WsgiMiddleware(app, recorded.observer)(given, lambda *_: print)
    assert recorded.of("request_size") == [({"method": "PUT", "endpoint": UNKNOWN}, Distribution(1, 6))]


class FileWrapper:
    """As gunicorn's."""

    def __init__(self, file: io.BytesIO, size: int = 8192) -> None:
        self.filelike, self.size = file, size
        self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.size), b"")


def test_a_file_is_left_to_the_servers_sendfile() -> None:
    recorded, file = Recorded(sizes=True), io.BytesIO(b"x" * 10)
    given = FileWrapper(file)
    app = WsgiMiddleware(answering(given, "200 OK", ("Content-Length", "10")), recorded.observer)
    result: Any = app(drive.environ(**{"wsgi.file_wrapper": FileWrapper}), lambda *_: print)  # type: ignore[arg-type]
    assert result is given
    assert recorded.in_progress() == 1
    result.close()
    assert file.closed
    assert (recorded.requests(), recorded.in_progress()) == ({OK: 1}, 0)
    assert recorded.first_bytes()[UNKNOWN].count == 1
    assert recorded.of("response_size")[0][1] == Distribution(1, 10)


def test_a_file_whose_sending_broke_is_499() -> None:
    recorded = Recorded()
    app = WsgiMiddleware(answering(FileWrapper(io.BytesIO())), recorded.observer)
    result: Any = app(drive.environ(**{"wsgi.file_wrapper": FileWrapper}), lambda *_: print)  # type: ignore[arg-type]

    def send() -> None:
        try:
            raise BrokenPipeError
        finally:
            result.close()

    with pytest.raises(BrokenPipeError):
        send()
    assert recorded.requests() == {("GET", UNKNOWN, "499"): 1}


def test_a_client_that_left_while_the_application_worked_is_499(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_obs.http.wsgi_exchange.PATIENCE_S", 0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stays, leaves = Recorded(), Recorded()
        given = {"gunicorn.socket": ours}
        drive.wsgi(WsgiMiddleware(answering(Stream([b"a"])), stays.observer), **given)  # type: ignore[arg-type]
        theirs.close()
        drive.wsgi(WsgiMiddleware(answering(Stream([b"a"])), leaves.observer), **given)  # type: ignore[arg-type]
        assert ours.fileno() > 0
    assert stays.requests() == {OK: 1}
    assert leaves.requests() == {("GET", UNKNOWN, "499"): 1}


def test_layers_within_layers_count_once() -> None:
    recorded = Recorded()
    inner = WsgiMiddleware(answering([b"x"]), recorded.observer)

    def copying(environ: Any, start_response: Any) -> Any:
        return inner(dict(environ), start_response)

    drive.wsgi(WsgiMiddleware(WsgiMiddleware(copying, recorded.observer), recorded.observer))
    assert recorded.requests() == {OK: 1}


def test_excluded_requests_leave_no_trace() -> None:
    recorded = Recorded(exclude=Exclusion(["health"], matches=lambda environ: environ["PATH_INFO"] == "/x"))
    app = WsgiMiddleware(WsgiMiddleware(answering([b"x"]), recorded.observer), recorded.observer)
    for path in ("/healthz", "/x", "/other"):
        drive.wsgi(app, path)
    assert recorded.requests() == {OK: 1}


def test_extra_attributes_are_the_declared_ones(caplog: pytest.LogCaptureFixture) -> None:
    def tenant(environ: Any, status: int, headers: Any) -> dict[str, object]:
        return {"tenant": environ.get("HTTP_X_TENANT", "none"), "path": environ["PATH_INFO"], "code": status}

    recorded = Recorded(extra=ExtraLabels(("tenant", "plan"), tenant), is_strict=False)
    app = WsgiMiddleware(answering([b"x"]), recorded.observer)
    with caplog.at_level(logging.WARNING):
        drive.wsgi(app, "/1", HTTP_X_TENANT="acme")
        drive.wsgi(app, "/2", HTTP_X_TENANT="acme")
    labels = {"tenant": "acme", "plan": "", "method": "GET", "endpoint": UNKNOWN}
    assert recorded.of("requests") == [({**labels, "status_code": "200"}, 2)]
    assert [labels for labels, _ in recorded.of("duration")] == [labels]
    assert [record.message for record in caplog.records] == [
        "request attributes ['code', 'path'] are dropped; declared are ['tenant', 'plan']"
    ]


def test_a_failing_hook_does_not_break_the_request(caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ: Any, status: int, headers: Any) -> dict[str, object]:
        raise RuntimeError("hook")

    recorded = Recorded(extra=ExtraLabels(("tenant",), broken), is_strict=False)
    app = WsgiMiddleware(answering([b"x"]), recorded.observer)
    assert drive.wsgi(app).status == "200 OK"
    assert drive.wsgi(app).status == "200 OK"
    assert [value for _, value in recorded.of("requests")] == [2]
    assert len(caplog.records) == 1


def test_what_goes_wrong_with_us_goes_wrong_without_the_application(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(is_strict=False)

    def broken(*_: Any) -> Any:
        raise RuntimeError("ours")

    for name in ("entry", "finish"):
        with monkeypatch.context() as patch:
            patch.setattr(recorded.observer, name, broken)
            assert drive.wsgi(WsgiMiddleware(answering([b"x"]), recorded.observer)).body == b"x"
            assert drive.wsgi(WsgiMiddleware(answering([b"x"]), recorded.observer)).body == b"x"
    assert [record.message for record in caplog.records] == [
        "the begin of a request could not be recorded; the request was served",
        "the end of a request could not be recorded; the request was served",
    ]


def test_under_tests_our_errors_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded()
    monkeypatch.setattr(recorded.observer, "entry", SimpleNamespace())
    with pytest.raises(TypeError):
        drive.wsgi(WsgiMiddleware(answering([b"x"]), recorded.observer))
