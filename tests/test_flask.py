"""Flask: every way in, every way out, counted once under its rule."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, redirect, request, send_file, stream_with_context
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

import otel_obs.flask as measured_flask
from otel_obs.http.exclusion import Exclusion
from otel_obs.http.wsgi import WsgiMiddleware
from otel_obs.serving.scrape import Scrape
from tests.http import drive
from tests.http.recorded import Recorded

UNMATCHED = "__unmatched__"
ITEM = "/items/<int:number>"


@pytest.fixture(autouse=True)
def _no_patch_stays() -> Iterator[None]:
    original = Flask.__call__, Flask.wsgi_app
    yield
    measured_flask.uninstall()
    assert (Flask.__call__, Flask.wsgi_app) == original


class Ours:
    def collect(self, accept: str, names: Sequence[str]) -> tuple[str, Iterator[bytes]]:
        return "text/plain; version=0.0.4", iter([b"ours 1\n"])


def make_app() -> Flask:
    app = Flask(__name__)

    @app.route("/items/<int:number>", methods=["GET", "PUT"])
    def item(number: int) -> dict[str, int]:
        return {"number": number}

    return app


def measure(app: Flask, **options: Any) -> Recorded:
    recorded = Recorded(**options)
    assert measured_flask.instrument_app(app, recorded.observer, Scrape(Ours()))
    return recorded


def test_the_rule_is_the_endpoint_and_a_plain_answer_is_counted_before_its_body_is_read() -> None:
    app = make_app()
    recorded = measure(app)
    client = app.test_client()
    for number in range(3):
        assert client.get(f"/items/{number}?q={number}").status_code == 200
    assert client.put("/items/1").status_code == 200
    assert recorded.requests() == {("GET", ITEM, "200"): 3, ("PUT", ITEM, "200"): 1}
    assert recorded.durations()["GET", ITEM].count == 3
    assert (recorded.in_progress(), recorded.first_bytes(), recorded.errors()) == (0, {}, {})


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nope", ("GET", UNMATCHED, "404")),
        ("DELETE", "/items/1", ("DELETE", UNMATCHED, "405")),
        ("HEAD", "/items/1", ("HEAD", ITEM, "200")),
        ("OPTIONS", "/items/1", ("OPTIONS", ITEM, "200")),
        ("GET", "/slash", ("GET", UNMATCHED, "308")),
        ("GET", "/moved", ("GET", "/moved", "302")),
        ("GET", "/abort/418", ("GET", "/abort/<int:code>", "418")),
        ("GET", "/abort/404", ("GET", "/abort/<int:code>", "404")),
        ("GET", "/abort/503", ("GET", "/abort/<int:code>", "503")),
        ("GET", "/handled", ("GET", "/handled", "409")),
        ("GET", "/empty", ("GET", "/empty", "204")),
        ("BREW", "/items/1", ("_OTHER", UNMATCHED, "405")),
    ],
)
def test_statuses(method: str, path: str, expected: tuple[str, str, str]) -> None:
    app = make_app()
    app.add_url_rule("/slash/", "slash", lambda: "")
    app.add_url_rule("/moved", "moved", lambda: redirect("/items/1"))
    app.add_url_rule("/abort/<int:code>", "abort", lambda code: abort(code))
    app.add_url_rule("/empty", "empty", lambda: ("", 204))

    @app.get("/handled")
    def handled() -> str:
        raise LookupError

    app.register_error_handler(LookupError, lambda error: ("known", 409))
    recorded = measure(app)
    app.test_client().open(path, method=method)
    assert recorded.requests() == {expected: 1}
    assert (recorded.in_progress(), recorded.errors()) == (0, {})


@pytest.mark.parametrize("propagates", [False, True])
def test_an_unhandled_exception_is_a_500_and_an_error(propagates: bool) -> None:
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = propagates

    @app.get("/broken/<name>")
    def broken(name: str) -> str:
        raise ZeroDivisionError

    recorded = measure(app)
    if propagates:
        with pytest.raises(ZeroDivisionError):
            app.test_client().get("/broken/x")
    else:
        assert app.test_client().get("/broken/x").status_code == 500
    assert recorded.requests() == {("GET", "/broken/<name>", "500"): 1}
    assert (recorded.errors(), recorded.in_progress()) == ({"ZeroDivisionError": 1}, 0)


def test_a_request_whose_worker_is_ended_keeps_its_endpoint() -> None:
    app = make_app()

    @app.get("/slow/<name>")
    def slow(name: str) -> str:
        raise SystemExit(1)  # as gunicorn ends a worker that is too slow

    recorded = measure(app)
    with pytest.raises(SystemExit):
        app.test_client().get("/slow/x")
    assert recorded.requests() == {("GET", "/slow/<name>", "500"): 1}
    assert recorded.errors() == {"SystemExit": 1}


def test_a_handler_for_500_may_change_the_status() -> None:
    app = make_app()
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)  # type: ignore[arg-type]
    app.register_error_handler(500, lambda error: ("busy", 503))
    recorded = measure(app)
    assert app.test_client().get("/broken").status_code == 503
    assert recorded.requests() == {("GET", "/broken", "503"): 1}
    assert recorded.errors() == {"ZeroDivisionError": 1}


def test_streams_are_timed_to_their_last_byte() -> None:
    app = make_app()

    @app.get("/stream")
    def stream() -> Response:
        @stream_with_context
        def parts() -> Iterator[str]:
            yield f"data: {request.path}\n\n"
            time.sleep(0.02)
            yield "data: end\n\n"

        return Response(parts(), mimetype="text/event-stream")  # type: ignore[call-arg]

    recorded = measure(app)
    answer = app.test_client().get("/stream")
    assert (recorded.requests(), recorded.in_progress()) == ({}, 1)
    assert answer.text == "data: /stream\n\ndata: end\n\n"
    assert (recorded.requests(), recorded.in_progress()) == ({("GET", "/stream", "200"): 1}, 0)
    first, whole = recorded.first_bytes()["/stream"], recorded.durations()["GET", "/stream"]
    assert first.sum + 0.02 <= whole.sum


def test_a_stream_that_is_left_is_499_and_closed() -> None:
    app, closed = make_app(), []

    @app.get("/stream")
    def stream() -> Response:
        response = Response(iter([b"a", b"b"]))
        response.call_on_close(lambda: closed.append(True))
        return response

    recorded = measure(app)
    answer = app.test_client().get("/stream")
    answer.close()
    assert recorded.requests() == {("GET", "/stream", "499"): 1}
    assert closed == [True]
    assert recorded.in_progress() == 0


@pytest.mark.parametrize(
    ("headers", "status", "size"), [({}, "200", 100_000), ({"Range": "bytes=10-19"}, "206", 10)]
)
def test_files_and_ranges(headers: dict[str, str], status: str, size: int, tmp_path: Any) -> None:
    app, path = make_app(), tmp_path / "file"
    path.write_bytes(b"x" * 100_000)
    app.add_url_rule("/file", "file", lambda: send_file(path, conditional=True))
    recorded = measure(app, sizes=True)
    with app.test_client().get("/file", headers=headers) as answer:
        assert len(answer.data) == size
    assert recorded.requests() == {("GET", "/file", status): 1}
    assert [value.sum for _, value in recorded.of("response_size")] == [size]
    assert recorded.in_progress() == 0


def test_blueprints_have_their_prefix() -> None:
    app = make_app()
    inner, outer = Blueprint("inner", __name__, url_prefix="/in"), Blueprint("outer", __name__)
    inner.add_url_rule("/<name>", "name", lambda name: name)
    outer.register_blueprint(inner)
    app.register_blueprint(outer, url_prefix="/out")
    recorded = measure(app)
    app.test_client().get("/out/in/x")
    assert recorded.requests() == {("GET", "/out/in/<name>", "200"): 1}


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def test_an_application_that_dispatches_counts_what_it_dispatches_once() -> None:
    app, inner = make_app(), make_app()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/in": inner, "/plain": hello})  # type: ignore[method-assign]
    recorded = Recorded()
    measured_flask.install(recorded.observer)
    client = app.test_client()
    for path in ("/items/1", "/in/items/2", "/plain/x"):
        assert client.get(path).status_code == 200
    assert recorded.requests() == {
        ("GET", ITEM, "200"): 1,
        ("GET", "/in" + ITEM, "200"): 1,
        ("GET", "__unknown__", "200"): 1,
    }


def test_applications_that_are_dispatched_to_are_counted_under_their_mount() -> None:
    app, inner, recorded = make_app(), make_app(), Recorded()
    measured_flask.install(recorded.observer)
    client = Client(DispatcherMiddleware(app, {"/in": inner.wsgi_app}))
    client.get("/items/1")
    client.get("/in/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1, ("GET", "/in" + ITEM, "200"): 1}


def test_a_forwarded_prefix_never_becomes_an_endpoint() -> None:
    app, recorded = make_app(), Recorded()
    measured_flask.install(recorded.observer)
    inside, outside = make_app(), ProxyFix(app, x_prefix=1)
    inside.wsgi_app = ProxyFix(inside.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    for number in range(5):
        for client in (Client(outside), Client(inside)):
            client.get("/items/1", headers={"X-Forwarded-Prefix": f"/evil{number}"})
    assert recorded.requests() == {("GET", ITEM, "200"): 10}


def test_instrumenting_twice_changes_nothing() -> None:
    app = make_app()
    recorded, other = measure(app), Recorded()
    assert not measured_flask.instrument_app(app, other.observer)
    measured_flask.install(other.observer)
    app.test_client().get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1}
    assert other.requests() == {}


def test_middleware_around_a_bound_wsgi_app_knows_the_rules() -> None:
    app, recorded = make_app(), Recorded()
    app.wsgi_app = measured_flask.middleware(  # type: ignore[method-assign]
        app.wsgi_app, recorded.observer, Scrape(Ours())
    )
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)  # type: ignore[arg-type]
    client = app.test_client()
    assert client.get("/items/1").status_code == 200
    assert client.get("/broken").status_code == 500
    assert client.get("/metrics").text == "ours 1\n"
    assert recorded.requests() == {("GET", ITEM, "200"): 1, ("GET", "/broken", "500"): 1}
    assert recorded.errors() == {"ZeroDivisionError": 1}


def test_every_layer_at_once_counts_once() -> None:
    app, recorded = make_app(), Recorded()
    instrumentor: Any = FlaskInstrumentor()
    instrumentor.instrument_app(app, meter_provider=MeterProvider([InMemoryMetricReader()]))
    app.wsgi_app = measured_flask.middleware(app.wsgi_app, recorded.observer)  # type: ignore[method-assign]
    measured_flask.install(recorded.observer)
    measured_flask.instrument_app(app, recorded.observer)
    drive.wsgi(WsgiMiddleware(app, recorded.observer), "/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1}
    assert recorded.in_progress() == 0


def test_applications_made_before_and_used_before_are_measured_from_then_on() -> None:
    app, recorded = make_app(), Recorded()
    app.test_client().get("/items/1")
    measured_flask.install(recorded.observer)
    app.test_client().get("/items/1")
    make_app().test_client().get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 2}
    measured_flask.uninstall()
    app.test_client().get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 2}


def test_a_wsgi_app_that_was_taken_too_early_is_said_to_be_unmeasured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, recorded = make_app(), Recorded()
    taken = DispatcherMiddleware(app.wsgi_app)
    measured_flask.instrument_app(app, recorded.observer)
    Client(taken).get("/items/1")
    assert recorded.requests() == {}
    (record,) = caplog.records
    assert record.message == (
        "the wsgi_app of <Flask 'tests.test_flask'> was taken before it was instrumented; "
        "requests that come through it are not measured: instrument the application first"
    )


@pytest.mark.parametrize("early", ["none", "assigned", "measured", "called"])
def test_a_wsgi_app_that_is_measured_all_the_same_is_not_complained_of(
    early: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, recorded = make_app(), Recorded()
    served: Any = app
    if early == "assigned":
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    elif early == "measured":
        served = measured_flask.middleware(app.wsgi_app, recorded.observer)
    elif early == "called":
        served = ProxyFix(app)
    measured_flask.instrument_app(app, recorded.observer)
    Client(served).get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1}
    assert caplog.records == []


def test_a_subclass_with_a_wsgi_app_of_its_own_is_measured() -> None:
    class Own(Flask):
        def wsgi_app(self, environ: Any, start_response: Any) -> Any:
            return hello(environ, start_response)

    recorded = Recorded()
    measured_flask.install(recorded.observer)
    Own(__name__).test_client().get("/x")
    assert recorded.requests() == {("GET", "__unknown__", "200"): 1}


def test_metrics_are_served_without_a_redirect_and_not_counted() -> None:
    path = "/metrics"
    app = make_app()
    app.add_url_rule("/<path:any>", "any", lambda any: "page")  # a catch-all is not about /metrics
    recorded = measure(app)
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.text) == (200, "ours 1\n")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert app.test_client().post(path).status_code == 405
    assert recorded.requests() == {}


@pytest.mark.parametrize("rule", ["/metrics", "/metrics/"])
def test_an_application_keeps_its_own_metrics_route_and_it_is_not_counted(rule: str) -> None:
    app = make_app()
    recorded = measure(app)
    assert app.test_client().get("/metrics").text == "ours 1\n"
    app.add_url_rule(rule, "metrics", lambda: "theirs")
    assert app.test_client().get(rule).text == "theirs"
    assert recorded.requests() == {}


def test_an_application_keeps_what_it_dispatches_metrics_to() -> None:
    app = make_app()
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": hello})  # type: ignore[method-assign]
    recorded = measure(app)
    assert app.test_client().get("/metrics").text == "hello"
    assert recorded.requests() == {}


def test_exclusions_of_an_application_go_before_the_observers() -> None:
    app, recorded = make_app(), Recorded(exclude=Exclusion(["items"]))
    measured_flask.instrument_app(app, recorded.observer, exclude=Exclusion(["health"]))
    app.test_client().get("/health")
    app.test_client().get("/items/1")
    assert recorded.requests() == {("GET", ITEM, "200"): 1}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda app: app,
        lambda app: app.wsgi_app,
        lambda app: ProxyFix(app.wsgi_app),
        lambda app: ProxyFix(DispatcherMiddleware(app.wsgi_app)),
    ],
)
def test_the_application_behind_a_callable_is_found(wrap: Any) -> None:
    app = make_app()
    assert measured_flask.application_of(wrap(app)) is app


def test_there_is_none_behind_a_plain_callable() -> None:
    assert measured_flask.application_of(hello) is None
