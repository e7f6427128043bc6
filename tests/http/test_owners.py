"""One request, one count: by the application where it counts with our own metric, by us everywhere else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import clean_env

BY_HAND = """
import otel_obs
from flask import Flask, request
from otel_obs.catalog import http_requests_total

app = otel_obs.instrument(Flask("a"))

@app.get("/health")
def health():
    return "ok"

@app.after_request
def count(response):
    labels = {"method": request.method, "endpoint": request.path, "status_code": str(response.status_code)}
    HOW
    return response

for _ in range(24):
    app.test_client().get("/health")
print(otel_obs.get_metrics()[0].decode())
"""
WAYS = [
    "http_requests_total.labels(**labels).inc()",
    "http_requests_total.add(1, labels)",
    "http_requests_total.bind(labels).add(1)",
]


@pytest.mark.parametrize("way", WAYS)
def test_what_the_application_counts_by_hand_is_not_counted_again(way: str) -> None:
    command = [sys.executable, "-c", BY_HAND.replace("HOW", way)]
    done = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stdout.splitlines() if line.startswith("http_requests_total{")]
    assert sum(float(line.rsplit(" ", 1)[1]) for line in lines) == 24, done.stderr
    assert done.stderr.count("is counted by the application itself") == 1
    assert "OTEL_OBS_HTTP=off" in done.stderr


TRACKED = """
import otel_obs
from flask import Flask

app = otel_obs.instrument(Flask("a"))

@app.get("/turn")
@otel_obs.track_errors("retrieval_error", "retrieval")
def turn():
    raise ValueError

@app.get("/other")
def other():
    raise KeyError

for _ in range(5):
    app.test_client().get("/turn")
    app.test_client().get("/other")
print(otel_obs.get_metrics()[0].decode())
"""


def test_an_exception_is_counted_once() -> None:
    command = [sys.executable, "-c", TRACKED]
    done = subprocess.run(command, env=clean_env(), capture_output=True, text=True, timeout=240)
    lines = [line for line in done.stdout.splitlines() if line.startswith("errors_total{")]
    assert sorted(lines) == [
        'errors_total{component="http",error_type="KeyError"} 5.0',
        'errors_total{component="retrieval",error_type="retrieval_error"} 5.0',
    ]
