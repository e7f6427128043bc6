"""A small service of everything that is forwarded: requests, predictions, calls of a language model."""

from __future__ import annotations

from typing import Any

from flask import Flask
from opentelemetry import metrics as api

from otel_obs import catalog
from otel_obs.catalog import llm, record_prediction

OWN = (
    ("shop.orders", ""),
    ("shop.orders.value", "EUR"),
    ("shop.basket.size", "By"),
    ("shop.share", "1"),
    ("shop.speed", "m/s"),
    ("shop.load", "%"),
    ("shop.queue", "{order}"),
    ("shop.wait", "ms"),
    ("shop_total_total", ""),
    ("shop.temperature", "Cel"),
)
"""Names and units of instruments of the service's own, as OpenTelemetry writes them."""

app = Flask(__name__)


@app.get("/health")
def health() -> str:
    return "ok"


@app.get("/predict/<name>")
def predict(name: str) -> str:
    record_prediction(success=True, inference_time=0.3, preprocessing_time=0.001)
    with llm.call("acme", "model-1"):
        return name


@app.get("/fail")
def fail() -> str:
    raise RuntimeError("this request fails")


@app.get("/everything")
def everything() -> str:
    """Record once to every metric of the catalog, and to instruments of every kind made through the API."""
    for _, metric in catalog.metrics():
        row: Any = metric
        labels = {name: next(iter(allowed), "x") for name, allowed in row.declaration.attributes.items()}
        for verb in ("add", "record", "set"):
            if hasattr(row, verb):
                getattr(row, verb)(1, labels)
                break
    meter = api.get_meter("shop", "1.2.3")
    for name, unit in OWN:
        attributes: Any = {"shop.name": "corner", "größe": "xl", "whole": 1, "is_open": True}
        meter.create_counter(f"{name}.counted", unit).add(1, attributes)
        meter.create_up_down_counter(f"{name}.now", unit).add(1, attributes)
        meter.create_histogram(f"{name}.spread", unit).record(1, attributes)
        meter.create_gauge(f"{name}.level", unit).set(1, attributes)
    return "recorded"
