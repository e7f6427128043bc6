"""Set-up is whole or not there, from any thread; its end leaves nothing, and all can begin anew."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import clean_env, tool
from tests.support.programs import ROOT, Finished, run

PREPARED = """
import gc, json, logging, os, signal, sys, threading
from opentelemetry import metrics
def say(what): print(json.dumps(what), flush=True)
def value(name, text=None):
    text = otel_obs.get_metrics()[0].decode() if text is None else text
    lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
    return [float(line.rsplit(" ", 1)[1]) for line in lines]
"""


def program(code: str, **env: str) -> Finished:
    return run(PREPARED + code, env=env, timeout_s=240)


def wrapped(code: str) -> list[str]:
    """What a program prints under `opentelemetry-instrument`."""
    done = subprocess.run(
        [tool("opentelemetry-instrument"), sys.executable, "-c", PREPARED + code],
        env=clean_env({"PYTHONPATH": str(ROOT)}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "set_up",
    [
        "otel_obs.configure()",
        "import flask; otel_obs.instrument(flask.Flask('app'))",
        "otel_obs.get_metrics()",
        "from otel_obs.prometheus import Counter; Counter('c', 'c').inc()",
        "from otel_obs.assembly import setup; setup.prepare(); import otel_obs.catalog.kit.metric",
    ],
)
def test_instruments_of_before_record_from_the_set_up_on(set_up: str) -> None:
    code = f"""
meter = metrics.get_meter("early")
counter, gauge = meter.create_counter("kept"), meter.create_gauge("level")
histogram = metrics.get_meter("dropped").create_histogram("took")
meter.create_observable_gauge("asked", [lambda options: [metrics.Observation(7)]])
import otel_obs
{set_up}
counter.add(1)
gauge.set(2)
histogram.record(3)
text = otel_obs.get_metrics()[0].decode()
say([value(name, text) for name in ("kept_total", "level", "took_count", "asked")])
"""
    assert program(code).results == [[[1.0], [2.0], [1.0], [7.0]]]


def test_a_wrong_instrument_of_before_hinders_no_other() -> None:
    code = """
meter = metrics.get_meter("early")
wrong = meter.create_counter("no name!")
right = meter.create_counter("right")
import otel_obs
otel_obs.configure()
wrong.add(1)
right.add(1)
say(value("right_total"))
"""
    finished = program(code)
    assert finished.results == [[1.0]]
    assert finished.log.count("'no name!' is not a valid instrument name") == 1


def test_threads_that_are_first_together_all_record() -> None:
    code = """
barrier = threading.Barrier(6)
def work(number):
    barrier.wait()
    counter = metrics.get_meter(f"t{number}").create_counter(f"c{number}")
    for _ in range(100):
        counter.add(1, {"a": "b"})
        counter.add(2)
threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import otel_obs
text = otel_obs.get_metrics()[0].decode()
say([sum(value(f"c{number}_total", text)) for number in range(6)])
"""
    assert wrapped(code) == ["[300.0, 300.0, 300.0, 300.0, 300.0, 300.0]"]


def test_whoever_asks_in_the_middle_of_a_set_up_gets_what_records() -> None:
    code = """
import otel_obs
from otel_obs.assembly import setup
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
setup.prepare()
class Reader(InMemoryMetricReader):
    def _set_meter_provider(self, provider):
        super()._set_meter_provider(provider)
        self.counter = metrics.get_meter("within").create_counter("within")
        self.counter.add(1, {"who": "itself"})
        thread = threading.Thread(target=self.record)
        thread.start()
        thread.join()
        assert otel_obs.configure() is None  # this thread is at it
    def record(self):
        meter = metrics.get_meter("beside")
        meter.create_counter("beside").add(2)
reader = Reader()
otel_obs.configure(readers=[reader])
reader.counter.add(1, {"who": "itself"})
metrics.get_meter("beside").create_counter("beside").add(2)
text = otel_obs.get_metrics()[0].decode()
say([value("within_total", text), value("beside_total", text)])
"""
    assert program(code).results == [[[2.0], [4.0]]]


def test_threads_that_configure_together_get_the_same_pipeline() -> None:
    code = """
import otel_obs
barrier, got = threading.Barrier(8), []
def work():
    barrier.wait()
    got.append(otel_obs.configure())
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
say([len(got), len(set(map(id, got))), got[0] is not None])
"""
    assert program(code).results == [[8, 1, True]]


REFUSED = {
    "token": {"OTEL_OBS_METRICS_TOKEN_FILE": "/nonexistent/token"},
    "labels": {"OTEL_OBS_LABELS": "method=code,status_code=code"},
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_is_refused_leaves_nothing_on(wrong: str, tmp_path: Path) -> None:
    code = """
before = list(gc.callbacks), threading.active_count(), signal.getsignal(signal.SIGTERM)
import otel_obs
from otel_obs.catalog.kit import metric
pipeline = otel_obs.configure()
otel_obs.record_prediction()
after = list(gc.callbacks), threading.active_count(), signal.getsignal(signal.SIGTERM)
say([pipeline is None, metric._installation is None, before == after])
"""
    finished = program(code, OTEL_OBS_RUN_DIR=str(tmp_path), **REFUSED[wrong])
    assert finished.results == [[True, True, True]]
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_middle_is_unwound_and_a_second_try_works(tmp_path: Path) -> None:
    code = """
import otel_obs
from otel_obs.assembly import build
from otel_obs.catalog.kit import metric
before = list(gc.callbacks), threading.active_count()
class Stop(BaseException): pass
right = build.enter_registry
def fail(*arguments):
    raise Stop
build.enter_registry = fail
try:
    otel_obs.configure()
except Stop:
    say([metric._installation is None, before == (list(gc.callbacks), threading.active_count())])
build.enter_registry = right
otel_obs.configure()
otel_obs.record_prediction()
say(value("predictions_total"))
"""
    assert program(code, OTEL_OBS_RUN_DIR=str(tmp_path)).results == [[True, True], [1.0]]


LEFT = """
def left():
    import wrapt
    waiting = {name: len(actions) for name, actions in imports._waiting.items() if actions}
    return [
        sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread()),
        [getattr(callback, "__name__", type(callback).__name__) for callback in gc.callbacks],
        signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        waiting,
        len(forks._before.present()), len(forks._in_parent.present()), len(forks._in_child.present()),
        sorted(os.listdir("/proc/self/fd")) if sys.platform == "linux" else [],
        os.listdir(os.environ["OTEL_OBS_RUN_DIR"]),
    ]
"""


def test_the_end_leaves_nothing_and_all_begins_anew(tmp_path: Path) -> None:
    code = (
        LEFT
        + """
import flask, prometheus_client
import otel_obs, otel_obs.prometheus
from otel_obs.assembly import applications, setup
from otel_obs.host import forks, imports
counter = metrics.get_meter("mine").create_counter("mine")
kept = otel_obs.prometheus.Counter("kept", "Kept")
def live():
    setup.prepare()
    applications.instrument_all()
    otel_obs.configure(prometheus_port=0 or None)
    app = flask.Flask("app")
    otel_obs.instrument(app)
    app.test_client().get("/nowhere")
    otel_obs.record_prediction()
    counter.add(1, {"a": "b"})
    kept.inc()
    text = app.test_client().get("/metrics").text
    names = "predictions_total", "mine_total", "kept_total", "http_requests_total", "otel_obs_workers"
    found = [value(name, text) for name in names]
    otel_obs.shutdown()
    counter.add(100)
    otel_obs.record_prediction()
    return found
live()
gc.collect()
first = left()
lives = [live() for _ in range(3)]
gc.collect()
say(lives)
say(first == left() or [first, left()])
say(first[:4] + first[-1:])
"""
    )
    finished = program(code, OTEL_OBS_RUN_DIR=str(tmp_path))
    assert finished.results == [
        [[[1.0], [1.0], [1.0], [1.0], [1.0]]] * 3,
        True,
        [[], [], True, {}, []],
    ]


def test_the_end_gives_the_metrics_of_requests_back_as_they_were() -> None:
    code = """
import flask
import otel_obs
from otel_obs.catalog import http
def serve(**options):
    app = flask.Flask("app")
    app.get("/x")(lambda: "ok")
    otel_obs.instrument(app, **options)
    app.test_client().get("/x")
    return app
serve(extra_labels=otel_obs.ExtraLabels(("tenant",), lambda request, status: {"tenant": "a"}))
otel_obs.shutdown()
counted = http.http_requests_total
counted.labels("GET", "/x", "200").inc()  # by hand, and nobody is there to give way
say([list(counted.declaration.attributes), counted.by_hand])
text = serve().test_client().get("/metrics").text
say([line for line in text.splitlines() if line.startswith("http_requests_total{")])
"""
    assert program(code).results == [
        [["method", "endpoint", "status_code"], None],
        ['http_requests_total{endpoint="/x",method="GET",status_code="200"} 1.0'],
    ]


def test_an_import_after_the_end_configures_nothing() -> None:
    code = """
import otel_obs
from otel_obs.assembly import applications, setup
setup.prepare()
applications.instrument_all()
otel_obs.configure()
otel_obs.shutdown()
import flask, otel_obs.catalog.kit.metric
say(setup.Running.pipeline is None)
say("predictions_total" in otel_obs.get_metrics()[0].decode())
"""
    assert program(code).results == [True, False]


def test_fifty_applications_leave_one_hook() -> None:
    code = """
import flask, otel_obs
from otel_obs.host import forks, imports
def hooks():
    return [
        sum(map(len, imports._waiting.values())),
        len(forks._before.present()) + len(forks._in_parent.present()) + len(forks._in_child.present()),
        len(otel_obs.assembly.setup.Running.undoing._entries),
    ]
apps = []
def one():
    apps.append(flask.Flask(f"app{len(apps)}"))
    otel_obs.instrument(apps[-1], exclude=lambda environ: False)
one()
before = hooks()
for _ in range(50):
    one()
say(before == hooks() or [before, hooks()])
"""
    assert program(code).results == [True]


def test_what_comes_too_late_is_said() -> None:
    code = """
import otel_obs
otel_obs.configure(namespace="shop")
otel_obs.configure()
otel_obs.configure(namespace="shop")
otel_obs.configure(namespace="other", profile="semconv")
otel_obs.configure(namespace="other", profile="semconv")
"""
    assert program(code).log.splitlines() == [
        "otel_obs is set up already, without namespace, profile: give that with the first call"
    ]


EXPOSING = {
    "a route of one's own": "from otel_obs import get_metrics; read = lambda: get_metrics()[0].decode()",
    "the client's text": (
        "from otel_obs.prometheus import generate_latest; read = lambda: generate_latest().decode()"
    ),
}
RECORDING = """
import otel_obs
otel_obs.set_app_info(version="1", environment="dev", python_version="3")
otel_obs.set_app_info(version="2", environment="dev", python_version="3")
otel_obs.record_prediction()
from otel_obs.catalog import api_keys, errors_total, detection_latency_seconds
handle = errors_total.labels(error_type="timeout", component="db")
handle.inc()
errors_total.labels("timeout", "db").inc(2)
inc = errors_total.bind({"error_type": "timeout", "component": "db"}).add
inc(3)
"""


@pytest.mark.parametrize("way", EXPOSING)
@pytest.mark.parametrize("exposes", ["first", "last"])
def test_the_catalog_loses_nothing_of_what_comes_before_the_set_up(way: str, exposes: str) -> None:
    parts = (EXPOSING[way], RECORDING) if exposes == "first" else (RECORDING, EXPOSING[way])
    code = (
        "\n".join(parts)
        + """
otel_obs.record_prediction()
inc(4)
text = read()
say([value("predictions_total", text), value("errors_total", text), value("app_info", text)])
say('version="2"' in text)
"""
    )
    assert program(code).results == [[[2.0], [10.0], [1.0]], True]


def test_a_process_that_exposes_is_set_up_by_its_first_record() -> None:
    code = """
from otel_obs import get_metrics, record_prediction
from otel_obs.assembly.setup import Running
say(Running.pipeline is None)
record_prediction()
say(Running.pipeline is None)
"""
    assert program(code).results == [True, False]


def test_options_hold_for_what_was_recorded_before_they_were_given() -> None:
    code = """
import otel_obs
otel_obs.record_prediction()
otel_obs.configure(namespace="shop")
say(value("shop_predictions_total"))
"""
    assert program(code).results == [[1.0]]


def test_what_is_held_is_bounded_and_told_once() -> None:
    code = """
import otel_obs
from otel_obs.assembly.setup import Running
otel_obs.record_prediction()
child = os.fork()
if child == 0:
    otel_obs.record_prediction()
    os._exit(0 if value("predictions_total") == [1.0] else 1)
say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
for _ in range(10_100):
    otel_obs.record_prediction()
say(Running.pipeline is not None)
say(value("predictions_total"))
"""
    assert program(code).results == [0, True, [10_102.0]]


@pytest.mark.parametrize("env", [{"OTEL_OBS_ENABLED": "false"}, {"OTEL_OBS_PROFILE": "wrong"}])
def test_nothing_is_held_where_there_will_be_no_set_up(env: dict[str, str]) -> None:
    code = """
from otel_obs import get_metrics, record_prediction
from otel_obs.catalog.kit.early import _Early
for _ in range(10):
    record_prediction()
say([len(_Early.held), get_metrics()[0].decode()])
"""
    assert program(code, **env).results == [[0, ""]]


def test_a_scrape_within_a_scrape_on_one_thread_is_answered() -> None:
    code = """
import otel_obs
pipeline = otel_obs.configure(runtime_metrics=False)
metrics.get_meter("m").create_counter("jobs").add(3)
from otel_obs.cells.view import ServiceReader
within, before = [], ServiceReader.snapshot
def snapshot(reading):
    ServiceReader.snapshot = before
    for _ in range(2):
        within.append(value("jobs_total"))  # as a signal handler would, in the middle of a reading
    return before(reading)
hooks = len(pipeline.provider.worker.on_fork)
ServiceReader.snapshot = snapshot
say([value("jobs_total"), within, value("jobs_total")])
say(len(pipeline.provider.worker.on_fork) == hooks)
"""
    assert program(code).results == [[[3.0], [[3.0], [3.0]], [3.0]], True]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_descriptors_do_not_grow_with_generations_of_forks() -> None:
    code = """
import otel_obs
otel_obs.configure(runtime_metrics=False)
def generation(number, counts):
    otel_obs.record_prediction()
    counts.append(len(os.listdir("/proc/self/fd")))
    if number:
        pid = os.fork()
        if pid == 0:
            generation(number - 1, counts)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    else:
        say(counts[-1] - counts[-4])
generation(8, [])
"""
    assert program(code).results == [0]


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_what_was_wrapped_lets_all_pass_after_the_end(protocol: str) -> None:
    code = """
import asyncio, otel_obs
from otel_obs.cells.worker import Worker
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"mine"]
async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"mine"})
def get(app, path):
    if sys.argv[1] == "wsgi":
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": "", "SCRIPT_NAME": ""}
        return b"".join(app(environ, lambda *arguments: None)).decode()
    sent = []
    async def send(message): sent.append(message.get("body", b""))
    async def receive(): return {"type": "http.request", "body": b""}
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    asyncio.run(app(scope, receive, send))
    return b"".join(sent).decode()
app = otel_obs.instrument(wsgi if sys.argv[1] == "wsgi" else asgi)
say([get(app, "/a"), "http_requests_total" in get(app, "/metrics")])
worker = otel_obs.assembly.setup.Running.pipeline.provider.worker
otel_obs.shutdown()
say([get(app, "/a"), get(app, "/metrics"), worker.opened is None])
"""
    finished = run(PREPARED + code, protocol)
    assert finished.results == [["mine", True], ["mine", "mine", True]]


def test_what_is_pushed_last_has_all_that_was_recorded() -> None:
    code = """
import otel_obs
from opentelemetry import metrics
early = metrics.get_meter("m").create_counter("early")
otel_obs.configure()
early.add(2)
metrics.get_meter("m").create_counter("late").add(3)
otel_obs.shutdown()
"""
    done = run(code, env={"OTEL_METRICS_EXPORTER": "console"})
    pushed = json.loads("\n".join(done.lines))
    values = {
        metric["name"]: metric["data"]["data_points"][0]["value"]
        for resource in pushed["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
        if metric["name"] in ("early", "late")
    }
    assert values == {"early": 2, "late": 3}


def test_the_counter_of_overflows_may_overflow() -> None:
    code = """
import json, otel_obs
from opentelemetry import metrics
otel_obs.configure(cardinality_limit=3, runtime_metrics=False)
for number in range(6):
    counter = metrics.get_meter("m").create_counter(f"c{number}")
    for value in range(5):
        counter.add(1, {"value": value})
lines = otel_obs.get_metrics()[0].decode().splitlines()
print(json.dumps([line for line in lines if "overflow_total{" in line]))
"""
    done = run(code)
    (lines,) = done.results
    counts = {line.partition(" ")[0].partition("{")[2]: float(line.split()[-1]) for line in lines}
    # Three of each are beyond the limit; the counter of these has a limit of its own.
    assert counts == {
        'instrument="c0"}': 3,
        'instrument="c1"}': 3,
        'otel_metric_overflow="true"}': 12,
    }
    assert "RecursionError" not in done.log


@pytest.mark.parametrize("road", ["otel_obs.prometheus", "prometheus_client"])
def test_the_clients_metrics_begin_nothing_anew_after_the_end(road: str) -> None:
    code = """
import json, sys, threading
from importlib import import_module
import otel_obs
from otel_obs.assembly.setup import Running
client = import_module(sys.argv[1])
otel_obs.configure()
counter = client.Counter("hits", "Hits.")
counter.inc()
otel_obs.get_metrics()
otel_obs.shutdown()
counter.inc(5)
client.Gauge("made_late", "Late.").set(1)
print(json.dumps([Running.pipeline is None, threading.active_count()]))
otel_obs.configure()
counter.inc(2)
lines = otel_obs.get_metrics()[0].decode().splitlines()
print(json.dumps([line for line in lines if line.startswith("hits_total ")]))
"""
    ended, lines = run(code, road).results
    assert ended == [True, 1]
    assert lines == ["hits_total 2.0"]


def test_a_client_that_keeps_its_connection_has_no_thread_after_the_end() -> None:
    code = """
import http.client, json, os, socket, threading
import otel_obs
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ.update(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
from tests.support.waiting import until
def connected():
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("GET", "/metrics")
    except OSError:
        return None
    answer = client.getresponse()
    answer.read()
    return client
otel_obs.configure()
found = []
until(lambda: found.append(connected()) or found[-1] is not None, "an answer")
otel_obs.shutdown()
until(lambda: threading.active_count() == 1, "the threads' end")
print(json.dumps(found[-1].sock.recv(1).decode()))
"""
    assert run(code).results == [""]
