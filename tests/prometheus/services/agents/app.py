# mypy: ignore-errors
"""The agent platform: FastAPI with the metrics application mounted."""

import asyncio

from fastapi import FastAPI, HTTPException
from prometheus_client import make_asgi_app

import metrics

app = FastAPI()
app.mount("/metrics", make_asgi_app(registry=metrics.registry))
metrics.platform_state.state("ready")


@app.get("/health")
async def health():
    return {"status": "ok"}


@metrics.agent_duration_seconds.labels(agent="planner").time()
async def plan():
    await asyncio.sleep(0.02)


@app.post("/run/{agent}")
@metrics.workflow_errors_total.count_exceptions()
@metrics.workflows_active.track_inprogress()
async def run(agent: str):
    await plan()
    metrics.context_size_bytes.observe(2048)
    if agent == "broken":
        metrics.agent_executions_total.labels(agent, "error").inc(exemplar={"run_id": "r-7"})
        raise HTTPException(502)
    metrics.agent_executions_total.labels(agent=agent, status="success").inc()
    return {"agent": agent}
