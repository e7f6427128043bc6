"""What customers say of a product, as a dialogue: a FastAPI service."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from corpus import read_reviews
from engine import Engine, UnknownCategoryError
from llm import Models, NoProviderError, providers_from_environment
from retrieval import Library, QuestionError
from sessions import Sessions, UnknownSessionError

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)
logger = logging.getLogger("reviewlens")

library = Library(read_reviews())
models = Models(providers_from_environment())
engine = Engine(library, Sessions(Path(os.environ.get("REVIEWLENS_DB", "reviewlens.db"))), models)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await models.close()


app = FastAPI(title="reviewlens", lifespan=lifespan)

STATUS = {UnknownCategoryError: 404, UnknownSessionError: 404, QuestionError: 422, NoProviderError: 503}


class Begin(BaseModel):
    """What a dialogue is about."""

    category: str


class Message(BaseModel):
    """What the user asks."""

    message: str


@app.middleware("http")
async def log_request(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    start_s = time.perf_counter()
    response = await call_next(request)
    elapsed_s = time.perf_counter() - start_s
    logger.info("%s %s %d %.4fs", request.method, request.url.path, response.status_code, elapsed_s)
    return response


async def refuse(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": str(error)}, STATUS[type(error)])


for expected in STATUS:
    app.add_exception_handler(expected, refuse)


@app.get("/health")
def health() -> dict[str, Any]:
    return {"status": "ok", "categories": library.categories}


@app.post("/sessions", status_code=201)
def begin(body: Begin) -> dict[str, str]:
    session = engine.begin(body.category)
    return {"session_id": session.id, "category": session.category}


@app.post("/sessions/{session_id}/turns")
async def turn(session_id: str, body: Message) -> dict[str, Any]:
    return (await engine.turn(session_id, body.message))._asdict()


@app.delete("/sessions/{session_id}", status_code=204)
def leave(session_id: str) -> None:
    engine.leave(session_id)
