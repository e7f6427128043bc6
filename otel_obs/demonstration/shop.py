"""A Flask application that knows nothing of metrics; it has slow pages, and a checkout that may fail."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

GOODS = 40


def make_shop() -> Flask:
    """Make the application; each gunicorn worker does."""
    from flask import Flask, abort

    app = Flask("shop")

    @app.get("/")
    def home() -> str:
        return "a shop\n"

    @app.get("/items/<int:number>")
    def item(number: int) -> str:
        if number >= GOODS:
            abort(404)
        time.sleep(random.expovariate(200))
        return f"{number}\n"

    @app.get("/search")
    def search() -> str:
        time.sleep(random.lognormvariate(-3.5, 0.8))
        return "found\n"

    @app.post("/checkout")
    def checkout() -> str:
        time.sleep(random.expovariate(30))
        if random.random() < 0.04:
            abort(503)
        return "thanks\n"

    return app
