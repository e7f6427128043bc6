# pyright: strict
"""What an application writes: type checkers have nothing to say about it."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import otel_obs
from otel_obs import catalog, errors
from otel_obs.catalog import detection_objects, detection_total, llm, retrieval_duration_seconds, workflow


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
