# pyright: strict
"""What an application writes: type checkers have nothing to say about it."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any

from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource

import otel_obs
import otel_obs.prometheus
from otel_obs import catalog, errors
from otel_obs.catalog import (
    cache,
    detection_objects,
    detection_total,
    llm,
    model_state,
    retrieval_duration_seconds,
    workflow,
    workflows_active,
)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


async def asgi(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    await send({"type": "http.response.start", "status": 200})


def ways_in() -> None:
    app: Callable[..., Any] = otel_obs.instrument(wsgi, namespace="shop", metrics_path="/m")
    other: Callable[..., Any] = otel_obs.instrument(asgi, buckets={"a_seconds": [0.1, 1]}, readers=[])
    pipeline: otel_obs.Pipeline | None = otel_obs.configure(
        namespace="shop", labels={"status_code": "status"}, http_sizes=True
    )
    otel_obs.configure(
        readers=[otel_obs.PrometheusReader(prefix="shop"), InMemoryMetricReader()],
        views=[View(instrument_name="a")],
        resource=Resource.create({"service.name": "shop"}),
        exemplar_filter=AlwaysOnExemplarFilter(),
    )
    otel_obs.instrument(
        wsgi,
        exclude=lambda request: request["PATH_INFO"] == "/health",
        extra_labels=otel_obs.ExtraLabels(("team",), lambda request, status, headers: {"team": "a"}),
    )
    body, content_type = otel_obs.get_metrics()
    print(app, other, pipeline, body.decode(), content_type.upper(), otel_obs.__version__.upper())
    try:
        otel_obs.shutdown()
    except errors.SettingError as error:
        print(error)


@otel_obs.track_time(retrieval_duration_seconds, {"category": "toys"})
@otel_obs.track_errors("retrieval_error", "retrieval")
def search(words: list[str]) -> int:
    return len(words)


@otel_obs.traced()
def plain(number: int) -> str:
    return str(number)


def records() -> None:
    detection_total.add(1, {"camera_id": "1", "model_type": "yolo"})
    detection_total.labels(camera_id="1", model_type="yolo").inc()
    detection_objects.record(2.5, {"camera_id": "1", "class_name": "cat"})
    with workflow.run("brief"), llm.call("openai"):
        found: int = search(["a"])
        text: str = plain(found)
    print(text, [name.upper() for name, _ in catalog.metrics()])


def instruments() -> None:
    detection_total.bind({"camera_id": "1"}).add(2)
    detection_total.labels("1", "yolo").inc(0.5)
    model_state.set_function(lambda: 1)
    model_state.labels().set(2)
    workflows_active.add(-1)
    cache.observe(lru_cache(lambda: 1).cache_info)
    with otel_obs.Timer(retrieval_duration_seconds, {"category": "toys"}), model_state.track_inprogress():
        detection_objects.observe(3)
    llm.set_prices({"gpt-4o": (2.5, 10)})


def clients() -> None:
    registry = otel_obs.prometheus.CollectorRegistry(auto_describe=True)
    total = otel_obs.prometheus.Counter("a", "A", ["b"], registry=otel_obs.prometheus.share(registry))
    total.labels("c").inc()
    latency = otel_obs.prometheus.Histogram("d", "D", buckets=(0.1, 1))
    latency.observe(0.5)
    with otel_obs.Timer(latency), latency.time():
        otel_obs.prometheus.Gauge("e", "E").set(1)
