"""A small service of everything that is forwarded: requests, predictions, calls of a language model."""

from __future__ import annotations

from flask import Flask

from otel_obs.catalog import llm, record_prediction

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
