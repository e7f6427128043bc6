"""`otel-obs demo`: a small service with workers and traffic, and its live page."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import webbrowser
from typing import Annotated

import typer

from otel_obs.cli import output
from otel_obs.demonstration.customers import Customers
from otel_obs.demonstration.serving_shop import HOST, ShopService
from otel_obs.errors import UnreadableError
from otel_obs.live.loopback import LiveServer
from otel_obs.reading.fetch import Fetching


def demo(
    workers: Annotated[int, typer.Option(min=1, max=64, help="How many workers gunicorn starts.")] = 2,
    customers: Annotated[int, typer.Option(min=1, max=200, help="How many ask at the same time.")] = 8,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port on loopback; 0 is any.")] = 0,
    seconds: Annotated[
        float, typer.Option(min=0, max=output.MOST_SECONDS, help="End after so long; 0 is never.")
    ] = 0.0,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    json: output.JsonOption = False,
) -> None:
    """Start a small shop under gunicorn with traffic, and show it live in a browser.

    Everything listens on loopback only, and nothing is downloaded; it needs Flask and gunicorn. Control and C
    end it.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shop = ShopService(workers)
    try:
        page = LiveServer([shop.metrics_url], Fetching({}), port)
    except OSError as error:
        raise UnreadableError(
            f"port {port}", f"cannot be used: {error.strerror}", "choose another --port"
        ) from None
    with page, shop:
        with output.progress(f"starting gunicorn with {workers} workers"):
            shop.wait_until_ready()
        if json:
            output.print_json({"address": page.address, "metrics": shop.metrics_url, "workers": workers})
        else:
            typer.echo(f"{page.address} shows a shop under gunicorn -w {workers}, live")
            typer.echo(f"{shop.metrics_url} is what it reads; control and C end both")
        sys.stdout.flush()
        if browser and sys.stdout.isatty():
            webbrowser.open(page.address)
        if seconds:
            end = threading.Timer(seconds, page.shutdown)
            end.daemon = True  # who ends the command before does not wait for it
            end.start()
        with Customers(HOST, shop.port, customers), contextlib.suppress(KeyboardInterrupt):
            page.serve_forever()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(app, "demo", demo, "demo", "demo --workers 4 --no-open", "demo --seconds 60 --json")
