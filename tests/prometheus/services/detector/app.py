# mypy: ignore-errors
"""The camera detector: Flask under a gunicorn that loads it before it forks."""

import os

from flask import Flask, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST

import metrics

app = Flask(__name__)


@app.route("/health")
def health():
    return jsonify(status="ok", pid=os.getpid())


@app.route("/detect/<camera_id>", methods=["POST"])
def detect(camera_id):
    metrics.record_detection(camera_id, "yolo", 0.05)
    metrics.cameras_open.set(2)
    return jsonify(pid=os.getpid())


@app.route("/metrics")
def prometheus():
    return Response(metrics.render(), mimetype=CONTENT_TYPE_LATEST)
