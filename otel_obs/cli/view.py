"""`otel-obs view`: a page that shows services live."""

from __future__ import annotations

import contextlib
import sys
import webbrowser
from typing import Annotated

import typer

from otel_obs.cli import output
from otel_obs.errors import UnreadableError
from otel_obs.live.loopback import LiveServer
from otel_obs.reading.fetch import address
from otel_obs.settings.parsers import is_trace_address

DEFAULT_TARGET = "localhost:8000"


def view(
    urls: Annotated[
        list[str] | None,
        typer.Argument(metavar="URL", help="Services to show; `localhost:8000` if none is given."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port on loopback; 0 is any.")] = 0,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two scrapes.")] = 2.0,
    traces: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Where a trace is shown, with {trace_id} in it: exemplars become links."
        ),
    ] = "",
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    json: output.JsonOption = False,
    header: output.HeaderOption = None,
    token_file: output.TokenFileOption = None,
    timeout: output.TimeoutOption = 10.0,
) -> None:
    """Show services live in a browser, without Prometheus or Grafana.

    The page is on loopback only, and needs nothing from the internet. Control and C end it.
    """
    targets = [address(url) for url in urls or [DEFAULT_TARGET]]
    if traces and not is_trace_address(traces):
        raise UnreadableError(
            f"--traces {traces}",
            "is no address of a trace",
            "give one such as http://localhost:16686/trace/{trace_id}",
        )
    fetching = output.fetching(header, token_file, timeout)
    try:
        server = LiveServer(targets, fetching, port, interval, traces)
    except OSError as error:
        raise UnreadableError(
            f"port {port}", f"cannot be used: {error.strerror}", "choose another --port"
        ) from None
    with server, contextlib.suppress(KeyboardInterrupt):
        if json:
            output.print_json({"address": server.address, "targets": targets})
        else:
            typer.echo(f"{server.address} shows {', '.join(targets)}; control and C end it")
        sys.stdout.flush()
        if browser and sys.stdout.isatty():
            webbrowser.open(server.address)
        server.serve_forever()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    output.add_command(
        app,
        "view",
        view,
        "view",
        "view :8000 :8001 --interval 5",
        "view :8000 --traces 'http://localhost:16686/trace/{trace_id}'",
        "view https://shop.example/metrics --token-file token.txt --no-open",
    )
