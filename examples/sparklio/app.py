"""Agents that write briefs from notes: a FastAPI service."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from agents import NothingToWorkOnError, make_agents
from database import DEFAULT_URL, Database, TitleTakenError
from llm import Extractive, Model, OverHttp
from monitoring.prometheus_metrics import metrics_endpoint
from workflows import UnknownWorkflowError, Workflows


def choose_model() -> Model:
    """The model at `OPENAI_URL`, or our own where that is not set."""
    url = os.environ.get("OPENAI_URL")
    if not url:
        return Extractive()
    model, key = os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), os.environ.get("OPENAI_KEY", "offline")
    return OverHttp(url, model, key)


database = Database(os.environ.get("DATABASE_URL", DEFAULT_URL))
workflows = Workflows(make_agents(choose_model()), database)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    database.create_tables()
    yield
    database.close()


app = FastAPI(title="sparklio", lifespan=lifespan)

STATUS = {UnknownWorkflowError: 404, NothingToWorkOnError: 409, TitleTakenError: 409}


class Notes(BaseModel):
    """What is known about a topic."""

    texts: list[str]


class Order(BaseModel):
    """What a workflow is to write."""

    topic: str
    title: str


async def refuse(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, STATUS[type(error)])


for expected in STATUS:
    app.add_exception_handler(expected, refuse)


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/metrics")
def metrics() -> Response:
    return metrics_endpoint()


@app.post("/topics/{topic}/notes", status_code=201)
def add_notes(topic: str, body: Notes) -> dict[str, int]:
    return {"notes": database.add_notes(topic, body.texts)}


@app.post("/workflows/{workflow}", status_code=201)
def run(workflow: str, body: Order) -> dict[str, int]:
    return {"brief": workflows.run(workflow, body.topic, body.title)}


@app.get("/briefs/{number}")
def brief(number: int) -> dict[str, Any]:
    found = database.find_brief(number)
    if found is None:
        raise HTTPException(404, f"there is no brief {number}")
    return {"title": found.title, "text": found.text, "words": found.words}
