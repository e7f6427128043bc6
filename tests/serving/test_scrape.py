"""Serving /metrics: the answer by the request's facts, and through both kinds of middleware."""

from __future__ import annotations

import asyncio
import gzip
import logging
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from otel_obs.http import asgi, wsgi
from otel_obs.serving.body import PART_BYTES, WORTH_COMPRESSING_BYTES
from otel_obs.serving.scrape import Scrape, ScrapeRequest, accepts_gzip, run_steps
from tests.http import drive
from tests.http.recorded import Recorded

TEXT = "text/plain; version=0.0.4"
SERVED = [("Content-Type", TEXT + "; charset=utf-8"), ("Vary", "Accept, Accept-Encoding")]


class Parts:
    """A source that gives these parts, and remembers what it was asked."""

    def __init__(self, *parts: bytes, content_type: str = TEXT) -> None:
        self._parts, self._content_type = parts, content_type
        self.asked: list[tuple[str, list[str]]] = []

    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        self.asked.append((accept, list(names)))
        return self._content_type, iter(self._parts)


class Joined(NamedTuple):
    """An answer whose body is in one piece."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def ask(source: Any, method: str = "GET", *, token: str = "", clock: Any = None, **facts: str) -> Joined:
    options = {"clock": clock} if clock else {}
    status, headers, parts = run_steps(
        Scrape(source, token=token, **options).steps(ScrapeRequest(method, **facts))
    )
    return Joined(status, headers, b"".join(parts))


def test_the_parts_are_joined_and_the_charset_is_said() -> None:
    assert ask(Parts(b"a 1\n", b"", b"b 2\n")) == Joined(200, SERVED, b"a 1\nb 2\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (TEXT, TEXT + "; charset=utf-8"),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        (TEXT + "; charset=utf-8", TEXT + "; charset=utf-8"),
        (
            "application/vnd.google.protobuf; encoding=delimited",
            "application/vnd.google.protobuf; encoding=delimited",
        ),
    ],
)
def test_content_types(given: str, said: str) -> None:
    assert ask(Parts(content_type=given)).headers[0] == ("Content-Type", said)


def test_the_source_is_told_what_is_wanted() -> None:
    source = Parts()
    ask(source, query="name[]=a_total&x=1&name%5B%5D=b", accept="text/plain;q=0.5")
    assert source.asked == [("text/plain;q=0.5", ["a_total", "b"])]


def test_head_has_the_headers_only() -> None:
    assert ask(Parts(b"a 1\n"), "HEAD") == Joined(200, SERVED, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_refused(method: str) -> None:
    source = Parts(b"a 1\n")
    assert ask(source, method) == Joined(
        405,
        [("Content-Type", "text/plain; charset=utf-8"), ("Allow", "GET, HEAD")],
        b"a scrape is a GET\n",
    )
    assert source.asked == []


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer s3cret", 200),
        ("bearer  s3cret ", 200),
        ("", 401),
        ("Bearer", 401),
        ("Bearer s3cre", 401),
        ("Bearer s3crets", 401),
        ("Basic s3cret", 401),
        ("Bearer \udcff", 401),
    ],
)
def test_a_token_is_asked_for(authorization: str, status: int) -> None:
    answer = ask(Parts(), token="s3cret", authorization=authorization)
    assert answer.status == status
    challenged = ("WWW-Authenticate", 'Bearer realm="metrics"') in answer.headers
    assert challenged == (status == 401)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.0, *", False),
        ("*;q=0, gzip", True),
        ("*;q=0", False),
        ("x-gzip", True),
        ("identity", False),
        ("*", True),
        ("gzip;q=x", False),
        ("gzip;q=2", False),
        ("gzip;q=inf, *", False),
        ("gzip;q=1.0", True),
        ("zstd, gzip", True),
    ],
)
def test_gzip_is_negotiated(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected


def test_a_body_worth_it_is_compressed() -> None:
    parts = [b"metric_%d 1\n" % number * 100 for number in range(300)]
    status, headers, body = ask(Parts(*parts), accept_encoding="gzip")
    assert (status, ("Content-Encoding", "gzip") in headers) == (200, True)
    assert gzip.decompress(body) == b"".join(parts)
    assert len(body) < len(b"".join(parts)) / 10


@pytest.mark.parametrize(
    "size_bytes", [WORTH_COMPRESSING_BYTES + 1, PART_BYTES - 1, PART_BYTES, 3 * PART_BYTES]
)
def test_a_body_of_one_chunk_is_compressed(size_bytes: int) -> None:
    answer = ask(Parts(b"x" * size_bytes), accept_encoding="gzip")
    assert ("Content-Encoding", "gzip") in answer.headers
    assert gzip.decompress(answer.body) == b"x" * size_bytes


def test_a_small_body_is_not_compressed() -> None:
    assert ask(Parts(b"a 1\n"), accept_encoding="gzip") == Joined(200, SERVED, b"a 1\n")


def test_a_scrape_gives_up_when_the_scraper_has() -> None:
    now = iter([0.0, 1.0, 9.9, 10.1])
    parts = Parts(b"a", b"b", b"c", b"d")
    answer = ask(parts, timeout_s="10", clock=lambda: next(now))
    assert (answer.status, answer.body) == (503, b"collecting took longer than the scraper waits\n")


@pytest.mark.parametrize("timeout_s", ["", "soon", "-1", "0", "inf", "nan"])
def test_a_senseless_timeout_is_none(timeout_s: str) -> None:
    assert ask(Parts(b"a 1\n"), timeout_s=timeout_s).status == 200


@pytest.mark.parametrize(
    ("timeout_s", "status"), [("3599.9", 503), ("3600", 200), ("7200", 200), ("1e300", 200)]
)
def test_a_timeout_of_an_hour_or_more_is_none(timeout_s: str, status: int) -> None:
    now = iter([0.0, *[1e301] * 9])
    assert ask(Parts(b"a 1\n"), timeout_s=timeout_s, clock=lambda: next(now)).status == status


def test_a_source_that_fails_is_a_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
            raise OSError("disk")

    for _ in range(3):
        answer = ask(Broken())
        assert (answer.status, answer.body) == (500, b"collecting failed; the service's log says why\n")
    assert [record.message for record in caplog.records] == ["a scrape failed"]


def missing(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b"app"]


async def missing_too(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"app"})


def test_wsgi_serves_it_and_does_not_count_it() -> None:
    path = "/metrics"
    recorded = Recorded()
    app = wsgi.WsgiMiddleware(missing, recorded.observer, Scrape(Parts(b"a 1\n")))
    answer = drive.wsgi(app, path + "?name[]=a")
    assert (answer.status, answer.body) == ("200 OK", b"a 1\n")
    assert answer.headers["Content-Length"] == "4"
    assert drive.wsgi(app, path, "HEAD").body == b""
    assert drive.wsgi(app, path, "POST").status == "405 Method Not Allowed"
    assert list(recorded.series()) == []
    assert drive.wsgi(app, "/metricsx").body == b"app"


def test_asgi_serves_it_and_does_not_count_it() -> None:
    path = "/metrics"
    recorded = Recorded()
    app = asgi.AsgiMiddleware(missing_too, recorded.observer, Scrape(Parts(b"a 1\n")))
    answer = drive.asgi(app, path + "?name[]=a")
    assert (answer.status, answer.body) == (200, b"a 1\n")
    assert answer.headers["content-length"] == "4"
    assert answer.headers["content-type"] == TEXT + "; charset=utf-8"
    assert drive.asgi(app, path, "HEAD").body == b""
    assert drive.asgi(app, path, "POST").status == 405
    assert list(recorded.series()) == []
    assert drive.asgi(app, "/metricsx").body == b"app"


@pytest.mark.parametrize(("path", "root"), [("/api/metrics", "/api"), ("/metrics", "/api")])
def test_asgi_serves_it_behind_a_root_path(path: str, root: str) -> None:
    app = asgi.AsgiMiddleware(missing_too, Recorded().observer, Scrape(Parts(b"a 1\n")))
    assert drive.asgi(app, path, root_path=root).body == b"a 1\n"


def test_an_application_keeps_its_own_and_it_is_not_counted() -> None:
    recorded, scrape = Recorded(), Scrape(Parts(b"ours"))
    own = wsgi.WsgiMiddleware(missing, recorded.observer, scrape, owns=lambda path: True)
    own_too = asgi.AsgiMiddleware(missing_too, recorded.observer, scrape, owns=lambda path: True)
    assert drive.wsgi(own, "/metrics").body == b"app"
    assert drive.asgi(own_too, "/metrics").body == b"app"
    assert list(recorded.series()) == []


def test_a_token_is_read_from_the_request() -> None:
    scrape = Scrape(Parts(b"a 1\n"), token="s3cret")
    app = wsgi.WsgiMiddleware(missing, Recorded().observer, scrape)
    app_too = asgi.AsgiMiddleware(missing_too, Recorded().observer, scrape)
    assert drive.wsgi(app, "/metrics").status == "401 Unauthorized"
    assert drive.wsgi(app, "/metrics", HTTP_AUTHORIZATION="Bearer s3cret").body == b"a 1\n"
    assert drive.asgi(app_too, "/metrics").status == 401
    given = [(b"authorization", b"Bearer s3cret")]
    assert drive.asgi(app_too, "/metrics", headers=given).body == b"a 1\n"


def test_another_path() -> None:
    app = wsgi.WsgiMiddleware(missing, Recorded().observer, Scrape(Parts(b"a 1\n"), path="internal/prom"))
    assert drive.wsgi(app, "/internal/prom").body == b"a 1\n"
    assert drive.wsgi(app, "/metrics").body == b"app"


class Slow:
    """One long step and many of a millisecond of pure Python, as an exposition of 120,000 lines has."""

    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        def parts() -> Iterator[bytes]:
            for step_s in (0.03, *[0.001] * 59):
                until = time.perf_counter() + step_s
                while time.perf_counter() < until:
                    pass
                yield b"metric 1\n" * 2000

        return TEXT, parts()


def test_a_scrape_does_not_hold_up_the_event_loop() -> None:
    app = asgi.AsgiMiddleware(missing_too, Recorded().observer, Scrape(Slow()))
    lags: list[float] = []
    interval_s = sys.getswitchinterval()

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            lags.append(time.perf_counter() - before - 0.001)

    async def both() -> list[drive.Client]:
        ticking = asyncio.create_task(tick())
        clients = [drive.Client(), drive.Client()]
        await asyncio.gather(*(app(drive.scope("/metrics"), c.receive, c.send) for c in clients))
        ticking.cancel()
        return clients

    bodies = [client.body for client in asyncio.run(both())]
    assert bodies == [b"metric 1\n" * 120_000] * 2
    assert len(lags) > 20  # in 180 ms of work
    assert statistics.median(lags) < 0.005
    assert sys.getswitchinterval() == interval_s


@pytest.mark.parametrize("target", ["/metrics/", "/metrics%2f", "//metrics", "/./metrics", "/%6Detrics"])
def test_only_the_exact_path_is_answered(target: str) -> None:
    """A proxy's rule for `/metrics` lets the others pass."""
    recorded, scrape = Recorded(), Scrape(Parts(b"a 1\n"))
    app = wsgi.WsgiMiddleware(missing, recorded.observer, scrape)
    app_too = asgi.AsgiMiddleware(missing_too, recorded.observer, scrape)
    path = unquote(target)
    for name in ("RAW_URI", "REQUEST_URI"):
        assert drive.wsgi(app, path, **{name: target + "?a=/metrics"}).body == b"app"  # type: ignore[arg-type]
    assert drive.asgi(app_too, path, raw_path=target.encode()).body == b"app"
    assert drive.wsgi(app, "/metrics", RAW_URI="/metrics?x=1").body == b"a 1\n"
    assert drive.wsgi(app, "/metrics", RAW_URI="http://shop/metrics").body == b"a 1\n"
    assert drive.asgi(app_too, "/metrics", raw_path=b"/metrics").body == b"a 1\n"


@pytest.mark.parametrize(
    "target",
    [
        "//metrics",
        "/./metrics",
        "/x/../metrics",
        "/%2e/metrics",
        "/x%2f/metrics",
        "/metrics#/metrics",
        "/x#/metrics",
        "x:/metrics",
        "http:///metrics",
    ],
)
def test_what_a_server_makes_that_path_of_is_not_answered(target: str) -> None:
    recorded, scrape = Recorded(), Scrape(Parts(b"a 1\n"))
    app = wsgi.WsgiMiddleware(missing, recorded.observer, scrape)
    app_too = asgi.AsgiMiddleware(missing_too, recorded.observer, scrape)
    assert drive.wsgi(app, "/metrics", RAW_URI=target).body == b"app"
    assert drive.asgi(app_too, "/metrics", raw_path=target.encode()).body == b"app"


def test_a_prefix_may_stand_before_the_path() -> None:
    recorded, scrape = Recorded(), Scrape(Parts(b"a 1\n"))
    app = wsgi.WsgiMiddleware(missing, recorded.observer, scrape)
    app_too = asgi.AsgiMiddleware(missing_too, recorded.observer, scrape)
    for target in ("/shop/metrics", "/metrics", "https://shop.example/shop/metrics?x=//metrics"):
        for script_name in ("", "/shop", "/api/shop", "/other"):
            assert drive.wsgi(app, "/metrics", SCRIPT_NAME=script_name, RAW_URI=target).body == b"a 1\n"
    for target in ("/a%20b/caf%C3%A9/metrics", "/caf%C3%A9/metrics"):
        script_name = "/a b/café".encode().decode("latin-1")
        assert drive.wsgi(app, "/metrics", SCRIPT_NAME=script_name, RAW_URI=target).body == b"a 1\n"
    prefixed = drive.asgi(app_too, "/api//metrics", root_path="/api/", raw_path=b"/api//metrics")
    assert prefixed.body == b"a 1\n"


def test_a_prefix_is_spelt_out_too() -> None:
    """A proxy's rule for `/shop/metrics` lets the others pass."""
    recorded, scrape = Recorded(), Scrape(Parts(b"a 1\n"))
    app = wsgi.WsgiMiddleware(missing, recorded.observer, scrape)
    app_too = asgi.AsgiMiddleware(missing_too, recorded.observer, scrape)
    for target in (
        "/%73hop/metrics",
        "/sho%70/metrics",
        "/shop//metrics",
        "//shop/metrics",
        "/shop/./metrics",
    ):
        for name in ("RAW_URI", "REQUEST_URI", "RAW_PATH_INFO"):
            environ = {name: target, "SCRIPT_NAME": "/shop"}
            assert drive.wsgi(app, "/metrics", **environ).body == b"app"  # type: ignore[arg-type]
        bridged = {"SCRIPT_NAME": "/shop", "asgi.scope": {"raw_path": target.encode()}}
        assert drive.wsgi(app, "/metrics", **bridged).body == b"app"  # type: ignore[arg-type]
        asked = drive.asgi(app_too, "/shop/metrics", root_path="/shop", raw_path=target.encode())
        assert asked.body == b"app"


def test_a_slash_at_the_end_is_answered_where_that_is_set() -> None:
    app = wsgi.WsgiMiddleware(missing, Recorded().observer, Scrape(Parts(b"a 1\n"), has_slash=True))
    assert drive.wsgi(app, "/metrics/", RAW_URI="/metrics/").body == b"a 1\n"
    assert drive.wsgi(app, "/metrics", RAW_URI="/metrics").body == b"a 1\n"


def test_the_token_of_now_is_asked_for() -> None:
    tokens = ["first"]
    scrape = Scrape(Parts(b"a 1\n"), token=lambda: tokens[-1])
    first, second = (ScrapeRequest("GET", authorization=f"Bearer {name}") for name in ("first", "second"))
    assert [run_steps(scrape.steps(one)).status for one in (first, second)] == [200, 401]
    tokens.append("second")
    assert [run_steps(scrape.steps(one)).status for one in (first, second)] == [401, 200]


def test_who_has_no_token_costs_no_thread_and_no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "Thread", None)
    app = asgi.AsgiMiddleware(missing_too, Recorded().observer, Scrape(None, token="s3cret"))  # type: ignore[arg-type]
    assert drive.asgi(app, "/metrics").status == 401


@pytest.mark.parametrize("token", ["", "s3cret"])
def test_where_it_is_served_is_said_once(token: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scrape = Scrape(Parts(b"a 1\n"), token=token)
    app = wsgi.WsgiMiddleware(missing, Recorded().observer, scrape)
    for _ in range(2):
        drive.wsgi(app, "/metrics", HTTP_AUTHORIZATION="Bearer s3cret")
    (record,) = caplog.records
    assert record.levelname == ("INFO" if token else "WARNING")
    assert "/metrics is answered on the application's port" in record.getMessage()
    assert "OTEL_OBS_METRICS_INSIDE" in record.getMessage()
