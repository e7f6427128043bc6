"""A FastAPI application with handlers that hold up the event loop, or take memory and keep it."""

import os
import time

from fastapi import FastAPI

app = FastAPI()
kept: list[bytes] = []


@app.get("/block")
async def block(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@app.get("/grow")
async def grow(size_bytes: int) -> int:
    kept.append(b"1" * size_bytes)
    return os.getpid()
