"""An image classifier as a Flask service. It is an ordinary one: only `metrics` knows about otel_obs."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable
from typing import TypeVar

from flask import Flask, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from cache import PredictionCache
from metrics import record_prediction, set_app_info, set_model_state, update_cache_metrics
from model import DigitModel, InvalidImageError, read_image

VERSION = "1.0.0"
CACHE_CAPACITY = int(os.environ.get("CACHE_CAPACITY", "256"))

T = TypeVar("T")

logger = logging.getLogger(__name__)


def create_app() -> Flask:
    """The service, with its model trained and its cache empty."""
    app = Flask(__name__)
    set_app_info(VERSION, os.environ.get("APP_ENV", "development"), platform.python_version())
    model = load_model()
    cache = PredictionCache(CACHE_CAPACITY)

    @app.get("/")
    def index() -> str:
        return render_template("index.html")

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return (
            (jsonify(status="error", model="error"), 503)
            if model is None
            else jsonify(status="ok", model="loaded")
        )

    @app.post("/predict")
    def predict() -> ResponseReturnValue:
        if model is None:
            record_prediction(success=False)
            return jsonify(error="the model could not be loaded"), 503
        body = request.get_json(silent=True)
        rows = body.get("image") if isinstance(body, dict) else None
        try:
            image, preprocessing_s = timed(lambda: read_image(rows))
        except InvalidImageError as error:
            record_prediction(success=False)
            return jsonify(error=str(error)), 400
        key = image.tobytes()
        found = cache.get(key)
        if found is None:
            prediction, inference_s = timed(lambda: model.predict(image))
            cache.put(key, prediction)
            record_prediction(success=True, inference_time=inference_s, preprocessing_time=preprocessing_s)
        else:
            prediction = found
            record_prediction(success=True, cache_hit=True, preprocessing_time=preprocessing_s)
        update_cache_metrics(len(cache), cache.hits, cache.misses, cache.memory_bytes)
        return jsonify(**prediction._asdict(), cached=found is not None)

    @app.after_request
    def name_worker(response: Response) -> Response:
        response.headers["X-Worker"] = str(os.getpid())
        return response

    return app


def load_model() -> DigitModel | None:
    """Train the model and report how that went; None where it failed: the service stays up to say so."""
    set_model_state("not_loaded")
    try:
        model, load_s = timed(DigitModel)
    except Exception:
        logger.exception("the model could not be loaded")
        set_model_state("error")
        return None
    set_model_state("loaded", load_time=load_s)
    return model


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do *work*; what it returns and the seconds it took."""
    start_s = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start_s


app = create_app()
