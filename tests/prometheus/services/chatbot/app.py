# mypy: ignore-errors
"""The review chatbot: FastAPI, a middleware of Starlette's, and a route for Prometheus."""

import asyncio

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import metrics

app = FastAPI()
app.add_middleware(metrics.PrometheusMiddleware)


@app.get("/health")
async def health():
    return {"status": "ok"}


@metrics.track_time(metrics.scoring_duration_seconds)
async def score():
    await asyncio.sleep(0)


@metrics.track_time(metrics.retrieval_duration_seconds, {"category": "robot_cleaner"})
def retrieve():
    return ["a", "b", "c"]


@app.post("/chat/{session_id}")
async def chat(session_id: str):
    metrics.dialogue_sessions_total.labels("robot_cleaner").inc()
    found = retrieve()
    metrics.evidence_count.labels(category="robot_cleaner").observe(len(found))
    metrics.active_evidence.labels("robot_cleaner", session_id).set(len(found))
    await score()
    return {"session": session_id, "evidence": found}


@app.delete("/chat/{session_id}")
async def end(session_id: str):
    metrics.active_evidence.remove("robot_cleaner", session_id)
    return {"sessions": metrics.sessions_so_far("robot_cleaner")}


@app.get("/metrics")
def prometheus():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
