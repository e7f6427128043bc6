"""A small shop with everything that a page can show: routes, errors, a model, an LLM."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from fastapi import FastAPI, HTTPException

import otel_obs
from otel_obs.catalog.llm import llm_calls_total, llm_duration_seconds, llm_tokens_total

app = FastAPI()


@app.get("/health")
async def health() -> str:
    return "ok"


@app.get("/items/{number}")
async def item(number: int) -> dict[str, Any]:
    await asyncio.sleep(random.lognormvariate(-4.5, 0.7))
    return {"number": number}


@app.post("/orders")
async def order() -> dict[str, Any]:
    await asyncio.sleep(random.lognormvariate(-2.5, 0.6))
    if random.random() < 0.08:
        raise HTTPException(503, "the till is closed")
    return {"ok": True}


@app.get("/recommendations")
async def recommend() -> dict[str, Any]:
    took_s = random.lognormvariate(-1.8, 0.5)
    await asyncio.sleep(took_s)
    is_hit = random.random() < 0.4
    otel_obs.record_prediction(success=True, cache_hit=is_hit, inference_time=took_s, preprocessing_time=0.01)
    llm_calls_total.add(1, {"provider": "openai", "status": "success"})
    llm_duration_seconds.record(took_s * 4, {"provider": "openai"})
    llm_tokens_total.add(random.randrange(50, 400), {"provider": "openai", "type": "completion"})
    return {"items": [1, 2, 3]}


otel_obs.instrument(app)
