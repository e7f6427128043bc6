"""Small services for tests of tracing, as modules that a server imports."""

from __future__ import annotations

FLASK = """
import logging, os
import requests
from flask import Flask, request
from otel_obs.tracing import traced

FORMAT = "LOG %(otelTraceID)s %(otelSpanID)s %(otelServiceName)s %(message)s"
logging.basicConfig(level=logging.INFO, format=FORMAT)
app = Flask(__name__)
client = requests.Session()
client.trust_env = False

@traced
def work():
    logging.info("in work")

@app.get("/health")
def health():
    return "ok"

@app.get("/items/<int:number>")
def item(number):
    work()
    return {"headers": dict(request.headers)}

@app.get("/fail")
def fail():
    raise RuntimeError("this request fails")

@app.get("/pass-on")
def pass_on():
    return client.get(os.environ["NEXT_URL"]).json()
"""

FASTAPI = """
import logging, os
import httpx
from fastapi import FastAPI, Request
from otel_obs.tracing import traced

FORMAT = "LOG %(otelTraceID)s %(otelSpanID)s %(otelServiceName)s %(message)s"
logging.basicConfig(level=logging.INFO, format=FORMAT)
app = FastAPI()

@traced
async def work():
    logging.info("in work")

@app.get("/health")
def health():
    return "ok"

@app.get("/items/{number}")
async def item(number: int, request: Request):
    await work()
    return {"headers": dict(request.headers)}

@app.get("/fail")
def fail():
    raise RuntimeError("this request fails")

@app.get("/pass-on")
async def pass_on():
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(os.environ["NEXT_URL"])).json()
"""
