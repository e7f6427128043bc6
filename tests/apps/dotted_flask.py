"""A Flask application with metrics of both manners: OpenTelemetry's dotted names and Prometheus'."""

from flask import Flask
from opentelemetry import metrics

from otel_obs.prometheus import Counter

app = Flask(__name__)
sent = metrics.get_meter("shop").create_counter("foo.bar", "By", "Sent")
books_sold = Counter("books_sold", "Books", ["page_kind"])
sent.add(3, {"user.id": "7"})
books_sold.labels(page_kind="glossy").inc(2)


@app.get("/health")
def health() -> str:
    return "ok"
