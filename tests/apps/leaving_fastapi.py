"""A FastAPI application whose clients do not always wait."""

from collections.abc import AsyncIterator

import anyio
from fastapi import FastAPI, Response, WebSocket
from fastapi.responses import FileResponse, StreamingResponse

import otel_obs

app = FastAPI()


@app.get("/health")
async def health() -> str:
    return "ok"


@app.get("/slow")
async def slow() -> Response:
    await anyio.sleep(0.6)
    return Response("at last")


@app.get("/stream/{name}")
async def stream(name: str) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(300):
            yield f"data: {name} {number}\n\n".encode()
            await anyio.sleep(0.02)

    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/file")
def file() -> FileResponse:
    return FileResponse(__file__)


@app.websocket("/ws/{room}")
async def talk(socket: WebSocket, room: str) -> None:
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


otel_obs.instrument(app)
