"""By whatever way in: after `shutdown()` a process is as it was before, and all can begin anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.programs import run

# What a process is made of, and which functions and methods of others have been replaced.
PREPARED = """
import atexit, gc, json, logging, os, signal, sys, threading, types

at_exit, register, unregister = [], atexit.register, atexit.unregister

def counted_register(function, *args, **kwargs):
    at_exit.append(function)
    return register(function, *args, **kwargs)

def counted_unregister(function):
    at_exit[:] = [each for each in at_exit if each != function]
    unregister(function)

# The module's own count includes those that are unregistered.
atexit.register, atexit.unregister = counted_register, counted_unregister

import otel_obs, otel_obs.prometheus
from otel_obs.host import forks

HOME = os.path.dirname(otel_obs.__file__) + os.sep

def say(what):
    print(json.dumps(what), flush=True)

def is_others(name):
    return not name.startswith(("otel_obs", "wrapt", "__main__"))

def attributes():
    found = {}
    for name, module in list(sys.modules.items()):
        if not is_others(name) or not isinstance(module, types.ModuleType):
            continue
        for attribute, value in list(vars(module).items()):
            if isinstance(value, types.FunctionType):
                found[f"{name}.{attribute}"] = value
            elif isinstance(value, type) and value.__module__ == name:
                for each, inner in list(vars(value).items()):
                    if isinstance(inner, (types.FunctionType, property, classmethod, staticmethod)):
                        found[f"{name}.{attribute}.{each}"] = inner
    return found

def state():
    gc.collect()
    return {
        "threads": sorted(each.name for each in threading.enumerate()),
        "collector": [repr(each) for each in gc.callbacks],
        "finders": [each for each in map(repr, sys.meta_path) if "otel_obs" in each],
        # What a module needs in each child it says once, when it is imported.
        "forks": [len(each.present()) for each in (forks._before, forks._in_parent, forks._in_child)],
        "signals": [repr(signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)],
        "atexit": list(map(repr, at_exit)),
        "logging": [repr(each) for each in logging.getLogger().handlers],
        "finalizers": repr(sys.unraisablehook) + repr(threading.excepthook),
    }

def difference(before, after):
    return {name: [before[name], after[name]] for name in before if before[name] != after[name]}

def check(live):
    live()
    otel_obs.shutdown()
    patched, first = attributes(), state()
    for _ in range(2):
        live()
        otel_obs.shutdown()
    now = attributes()
    say(difference(first, state()))
    say(replaced(patched, now))

def replaced(before, now):
    changed = {name for name in before if name in now and now[name] is not before[name]}
    # What a class inherits and one of ours hides is not among what was there before.
    return sorted(changed | {name for name in now if name not in before and is_of_ours(now[name])})

def is_of_ours(value):
    return getattr(getattr(value, "__code__", None), "co_filename", "").startswith(HOME)

def check_first(prepare, live):
    prepare()
    otel_obs.shutdown()  # takes back what importing `otel_obs.prometheus` has begun: servers are followed
    patched = attributes()
    live()
    otel_obs.shutdown()
    say(replaced(patched, attributes()))
    check(live)
"""

WAYS = {
    "configure": """
def prepare(): pass
def live(): otel_obs.configure()
""",
    "flask": """
def prepare():
    import flask
def live():
    import flask
    app = otel_obs.instrument(flask.Flask("app"))
    assert app.test_client().get("/metrics").status_code == 200
""",
    "fastapi": """
def prepare():
    import fastapi, starlette.testclient
def live():
    import fastapi
    from starlette.testclient import TestClient
    app = otel_obs.instrument(fastapi.FastAPI())
    with TestClient(app) as client:
        assert client.get("/metrics").status_code == 200
""",
    "django": """
def prepare():
    import django
    from django.conf import settings
    settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"])
    urls = types.ModuleType("urls")
    urls.urlpatterns = []
    sys.modules["urls"] = urls
    django.setup()
    import django.core.wsgi
def live():
    from django.core.wsgi import get_wsgi_application
    app = otel_obs.instrument(get_wsgi_application())
""",
    "client": """
def prepare():
    import prometheus_client
def live():
    counter = otel_obs.prometheus.Counter("kept", "Kept", registry=None)
    otel_obs.configure()
    counter.inc()
""",
    "live": """
def prepare():
    import flask
def live():
    import flask
    app = otel_obs.instrument(flask.Flask("app"), live="/live")
    assert app.test_client().get("/metrics").status_code == 200
""",
    "port": """
def prepare(): import http.server
def live(): otel_obs.configure(prometheus_port=PORT)
""",
    "tracing": """
def prepare():
    import opentelemetry.sdk.trace.export, opentelemetry.exporter.otlp.proto.http.trace_exporter
def live():
    otel_obs.configure()
    otel_obs.traced()(len)("")
""",
    "push": """
def prepare():
    import opentelemetry.exporter.otlp.proto.http.metric_exporter
def live():
    otel_obs.configure()
    otel_obs.record_prediction()
""",
}
SETTINGS = {
    "push": {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_end_leaves_the_process_as_it_was(way: str, tmp_path: Path) -> None:
    port = free_port()
    env = {
        "OTEL_OBS_RUN_DIR": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    code = f"{PREPARED}PORT = {port}\n{WAYS[way]}\ncheck_first(prepare, live)\n"
    assert run(code, env={**env, **SETTINGS.get(way, {})}, timeout_s=240).results == [[], {}, []]


BETWEEN = """
import otel_obs, prometheus_client
from prometheus_client import Counter, Gauge, generate_latest

old = Counter("old", "Made before.", ["k"])
otel_obs.configure()
first = Counter("first", "Made while it was set up.", ["k"])
first.labels("x").inc()
otel_obs.shutdown()
between = Counter("between", "Made in between.", ["k"])
between.labels("x").inc(2)
same = type(first)("same", "Of the class of another one.")
same.inc(3)
otel_obs.configure()
after = Gauge("after", "Made afterwards.")
after.set(7)
for each in (old.labels("x"), first.labels("x"), between.labels("x"), same):
    each.inc(10)
text = generate_latest().decode()
names = ("old_", "first_", "between_", "same_", "after ")
print(json.dumps([line for line in text.splitlines() if line.startswith(names) and "_created" not in line]))
print(json.dumps(sorted({type(each).__mro__[1].__name__ for each in (old, first, between, same, after)})))
"""


def test_what_the_client_makes_in_between_is_carried_over(tmp_path: Path) -> None:
    results = run(f"import json\n{BETWEEN}", env={"OTEL_OBS_RUN_DIR": str(tmp_path)}, timeout_s=240).results

    assert results == [
        [
            'old_total{k="x"} 10.0',
            'first_total{k="x"} 10.0',
            'between_total{k="x"} 12.0',
            "same_total 13.0",
            "after 7.0",
        ],
        ["RecordedCounter", "RecordedGauge"],
    ]


@pytest.mark.parametrize(
    "where",
    [
        "otel_obs.cells.store:Store.discard",
        "otel_obs.cells.membership:Service._leave",
        "otel_obs.cells.membership:leave",
        "otel_obs.rundir.tidying:_needs_no_root",
        "otel_obs.rundir.tidying:remove_tree",
        "otel_obs.rundir.directory:RunDir.close",
        "otel_obs.cells.worker:Worker._detach_handles",
    ],
)
def test_after_an_interrupted_shutdown_all_begins_anew(where: str, tmp_path: Path) -> None:
    code = f"""
import importlib, os, otel_obs
from opentelemetry import metrics
otel_obs.configure()
orders = metrics.get_meter("shop").create_counter("orders")
orders.add(1)
name, _, path = {where!r}.partition(":")
owner = importlib.import_module(name)
*outer, last = path.split(".")
for each in outer:
    owner = getattr(owner, each)
function = getattr(owner, last)
def interrupted(*args, **kwargs):
    setattr(owner, last, function)
    raise KeyboardInterrupt
setattr(owner, last, interrupted)
try:
    otel_obs.shutdown()
except KeyboardInterrupt:
    print("interrupted")
otel_obs.configure()
orders.add(2)
text = otel_obs.get_metrics()[0].decode()
print(*(line for line in text.splitlines() if line.startswith(("orders_total", "otel_obs_workers "))))
otel_obs.shutdown()
print([each for _, _, names in os.walk({str(tmp_path)!r}) for each in names])
"""
    done = run(code, env={"OTEL_OBS_RUN_DIR": str(tmp_path)})
    assert done.lines == ["interrupted", "orders_total 2.0 otel_obs_workers 1.0", "[]"], done.log
