"""The files of the page, and the HTTP headers that are sent with each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
ASSETS = frozenset(
    {
        "chart.js",
        "figure.js",
        "format.js",
        "heatmap.js",
        "http.js",
        "i18n.js",
        "icon.svg",
        "index.html",
        "main.js",
        "metrics.js",
        "parse.js",
        "queries.js",
        "store.js",
        "style.css",
        "uplot/uPlot.iife.min.js",
        "uplot/uPlot.min.css",
        "views.js",
        "worker.js",
    }
)
INDEX = "index.html"
TARGETS = "targets.json"
SCRAPE = "scrape/"

_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Scraped text can never run as code: the browser loads scripts and styles from the page's own files only.
SECURITY_HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


class Document(NamedTuple):
    """One file to send."""

    content_type: str
    body: bytes


@cache
def read_asset(name: str) -> Document | None:
    """A file of the page by its path; None where there is no such file."""
    name = name or INDEX
    if name not in ASSETS:
        return None
    content_type = CONTENT_TYPES[name.rpartition(".")[2]]
    return Document(content_type, files("otel_obs.live").joinpath("assets", *name.split("/")).read_bytes())


def targets_document(names: Sequence[str], interval_s: float, traces: str = "") -> Document:
    """The list that the page reads first: its targets, their paths on this server, and the interval.

    Args:
        names: What the targets are called.
        interval_s: Seconds between two scrapes.
        traces: The address of a trace, with `{trace_id}` in it; "" where there is none.
    """
    targets = [{"name": name, "url": f"{SCRAPE}{index}"} for index, name in enumerate(names)]
    body = json.dumps({"targets": targets, "interval_s": interval_s, "traces": traces}).encode()
    return Document("application/json", body)
