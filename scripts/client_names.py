"""The table of docs/migrate.md: what each public name of `prometheus_client` is in `otel_obs.prometheus`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import prometheus_client

from otel_obs import prometheus

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "migrate.md"
NOTES = {
    "CollectorRegistry": "a subclass that reads all of its metrics at one moment",
    "Counter": "a subclass that records to OpenTelemetry",
    "Enum": "a subclass that records to OpenTelemetry",
    "Gauge": "a subclass that records to OpenTelemetry",
    "Histogram": "a subclass that records to OpenTelemetry",
    "Info": "a subclass that records to OpenTelemetry",
    "REGISTRY": "there is one default registry, whichever package it is imported from",
    "Summary": "a subclass that records to OpenTelemetry",
    "aiohttp": "import it from `prometheus_client`, it serves our registries",
    "asgi": "has our `make_asgi_app`",
    "bridge": "a module of ours; `bridge.graphite` is the same",
    "context_managers": "serve coroutines and generators too",
    "core": "has our metrics and registries",
    "decorator": "internal",
    "django": "import it from `prometheus_client`, it serves our registries",
    "exposition": "a module of ours, with the same functions but for `make_asgi_app`",
    "gc_collector": "`GCCollector` is here",
    "make_asgi_app": (
        "where collecting takes long, the event loop goes on; names of headers are in lower case"
    ),
    "metrics": "has our metrics",
    "mmap_dict": "internal",
    "multiprocess": "there is nothing left for it to do",
    "openmetrics": "a module of ours; `openmetrics.exposition` and `openmetrics.parser` are the same",
    "platform_collector": "`PlatformCollector` is here",
    "process_collector": "`ProcessCollector` is here",
    "registry": "has our registries",
    "twisted": "import it from `prometheus_client`, it serves our registries",
    "utils": "internal",
    "validation": "it is `prometheus_client`'s that holds here too",
    "values": "numbers lie elsewhere",
}
"""What there is to say of a name that is another here, or is not here."""

_TABLE = re.compile(r"(?<=\| name \| \|\n\|---\|---\|\n)(?:\| `.*\n)+")
_SUBMODULES = {module.name for module in pkgutil.iter_modules(prometheus_client.__path__)}


def names() -> list[str]:
    """Every public name, submodules included."""
    return sorted({name for name in dir(prometheus_client) if not name.startswith("_")} | _SUBMODULES)


def found(package: str, name: str) -> object:
    """What `from package import name` gives.

    Raises:
        ImportError: There is none.
    """
    if name in _SUBMODULES or "." in name:
        return importlib.import_module(f"{package}.{name}")
    try:
        return getattr(importlib.import_module(package), name)
    except AttributeError as error:
        raise ImportError(name) from error


def verdict(name: str) -> str:
    """What a comparison of the two says: same, different, or not carried."""
    try:
        theirs = found(prometheus_client.__name__, name)
    except ImportError:  # of a framework that is not here
        return "not carried"
    try:
        ours = found(prometheus.__name__, name)
    except ImportError:
        return "not carried"
    return "same" if ours is theirs else "different"


def row(name: str) -> str:
    """The table's line about a name."""
    note = f": {NOTES[name]}" if name in NOTES else ""
    return f"| `{name}` | {verdict(name)}{note} |\n"


def page() -> str:
    """docs/migrate.md, with the table as it is now."""
    rows = (
        f"| `{name}` | {verdict(name)}{f': {NOTES[name]}' if name in NOTES else ''} |\n" for name in names()
    )
    return _TABLE.sub(lambda _: "".join(rows), DOCUMENT.read_text())
