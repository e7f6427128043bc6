"""An application that records every metric of the catalog once, as its page says."""

from __future__ import annotations

import asyncio
import gc

import anyio.to_thread
import sqlalchemy
from flask import Flask

from otel_obs import record_detection, record_prediction, set_app_info, set_model_state, update_cache_metrics
from otel_obs.catalog import (
    agent,
    api_keys,
    asgi,
    background_task_duration_seconds,
    background_tasks_in_progress,
    background_tasks_total,
    context,
    database,
    dialogue,
    event_loop_lag_seconds,
    http_response_first_byte_seconds,
    llm,
    pipeline,
    predictions_total,
    record_error,
    runtime,
    websocket_connection_duration_seconds,
    websocket_connections_open,
    websocket_connections_total,
    websocket_messages_total,
    workflow,
)

app = Flask(__name__)


@app.get("/items/<int:number>")
def item(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/health")
def health() -> str:
    return "ok"


set_app_info("1", "test")
set_model_state("loaded", load_time=1.0)
record_prediction(inference_time=0.1, preprocessing_time=0.1)
update_cache_metrics(1, 1, 1, 1)
record_detection("1", "yolov8n", 0.1, 3, 1)
record_error("timeout", "retrieval")
predictions_total.add(1, {"status": "no such status"})
llm.set_prices({"gpt-4o": (2.5, 10)})
with llm.call("openai", "gpt-4o") as call:
    call.first_token()
    call.tokens(1, 1)
for outcome in api_keys.api_key("main").success, api_keys.api_key("main").failure:
    outcome()
with dialogue.session("toys", "1") as session:
    session.turn()
session.completion()
with pipeline.retrieval("toys"), pipeline.scoring("toys"):
    pipeline.evidence("toys", 1, "2")
with agent.run("writer"), workflow.run("brief"):
    context.size("text")
engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.QueuePool)
database.observe_engine(engine)
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("select 1"))
gc.collect()
runtime.python_threads.refresh()

# What only an ASGI server has.
event_loop_lag_seconds.record(0.1)
background_tasks_in_progress.add(1, {"task": "send_mail"})
background_tasks_total.add(1, {"task": "send_mail", "status": "success"})
background_task_duration_seconds.record(0.1, {"task": "send_mail"})


async def note_threads() -> None:
    await anyio.to_thread.run_sync(gc.collect)
    asgi.note_limiter()


loop = asyncio.new_event_loop()
loop.run_until_complete(note_threads())
ENDPOINT = {"endpoint": "/ws"}
http_response_first_byte_seconds.record(
    0.1, {"method": "GET", **ENDPOINT, "status_code": "200", "scheme": "http"}
)
websocket_connections_open.add(1, {**ENDPOINT, "scheme": "ws"})
websocket_connections_total.add(1, {**ENDPOINT, "close_code": "1000", "scheme": "ws"})
websocket_connection_duration_seconds.record(1, {**ENDPOINT, "close_code": "1000", "scheme": "ws"})
websocket_messages_total.add(1, {**ENDPOINT, "direction": "in", "scheme": "ws"})
