"""A FastAPI application that knows nothing of metrics."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/items/{number}")
async def item(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/health")
async def health() -> str:
    return "ok"
