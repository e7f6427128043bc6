"""A Flask application that knows nothing of metrics."""

from flask import Flask

app = Flask(__name__)


@app.get("/items/<int:number>")
def item(number: int) -> dict[str, int]:
    return {"number": number}


@app.get("/health")
def health() -> str:
    return "ok"
