"""A fork that runs none of Python's hooks, as a server in C makes it: each process counts for itself."""

from __future__ import annotations

import sys

import pytest

from tests.support.programs import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="calls fork of the C library")

CODE = """
import gc, json, os, sys
import otel_obs
from otel_obs.catalog import api_keys, process, workers
from tests.support.c_fork import c_fork, without_threads
without_threads(otel_obs.configure())
[gc.collect() for _ in range(30)]
for _ in range(4):
    api_keys.record_api_key("1", True)
otel_obs.update_cache_metrics(1, 10, 10)
from otel_obs.catalog.pipeline import _sessions, evidence
evidence("c", 1, "s1")
list(workers._cpu_percent())
print(json.dumps(list(workers._used_before)), flush=True)
read, write = os.pipe()
pid = os.fork() if sys.argv[1] == "hooks" else c_fork()
if pid == 0:
    otel_obs.record_prediction()  # what is recorded first notices
    from otel_obs.catalog import pipeline
    collections = sum(value for value, _ in process._collections("collections"))
    otel_obs.update_cache_metrics(1, 11, 10)
    text = otel_obs.get_metrics()[0].decode()
    lines = text.splitlines()
    found = [
        dict(api_keys._counts),
        list(workers._used_before),
        list(pipeline._sessions._seen),
        collections < 10,
        [line for line in lines if line.startswith(("cache_hits_total", "predictions_total{"))],
    ]
    os.write(write, json.dumps(found).encode())
    os._exit(0)
os.close(write)
print(os.read(read, 65536).decode())
os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("fork", ["hooks", "no hooks"])
def test_each_workers_own_state_starts_over(fork: str) -> None:
    parents, found = run(CODE, fork).results
    counts, used_before, sessions, has_own_collections, lines = found
    assert (counts, used_before != parents, sessions, has_own_collections) == ({}, True, [], True)
    assert lines == ["cache_hits_total 11.0", 'predictions_total{status="success"} 1.0']


SPANS = """
import json, os
import otel_obs
from opentelemetry import trace
from otel_obs.assembly import setup
from tests.support.c_fork import c_fork, without_threads
without_threads(otel_obs.configure(traces_exporters="console"))
resource = lambda: dict(trace.get_tracer_provider().resource.attributes)
before = resource()
read, write = os.pipe()
pid = c_fork()
if pid == 0:
    with trace.get_tracer("t").start_as_current_span("first"):
        pass
    os.write(write, json.dumps(resource()["service.instance.id"]).encode())
    os._exit(0)
os.close(write)
print(json.dumps(json.loads(os.read(read, 65536)) != before.get("service.instance.id")))
os.waitpid(pid, 0)
os._exit(0)
"""


def test_spans_describe_the_child() -> None:
    assert run(SPANS).results == [True]
