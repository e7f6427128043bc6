# mypy: ignore-errors
"""The image classifier: Flask, with the metrics of `prometheus_client` mounted beside it."""

from flask import Flask, jsonify
from prometheus_client import make_wsgi_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware

import metrics

app = Flask(__name__)
cache = set()
metrics.set_app_info("1.4.0", "production")
metrics.model_state.set(1)


@app.route("/health")
def health():
    return jsonify(status="ok")


@app.route("/predict/<image>", methods=["POST"])
def predict(image):
    hit = image in cache
    cache.add(image)
    metrics.record_prediction(True, hit, 0.07)
    metrics.cache_size_current.set(len(cache))
    metrics.cache_hit_rate.set(0.5)
    return jsonify(label="cat", cached=hit)


@app.route("/metrics-text")
def text():
    body, content_type = metrics.get_metrics()
    return body, 200, {"Content-Type": content_type}


app.wsgi_app = metrics.PrometheusMiddleware(DispatcherMiddleware(app.wsgi_app, {"/metrics": make_wsgi_app()}))
