"""Every metric that otel_obs defines, as data and as the object that records it.

A metric is one row in one of these modules. It is imported by its family's name from here, and so are
the functions that record it:

```python
from otel_obs.catalog import detection_total, llm
```
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # ruff: noqa: F403
    from otel_obs.catalog.agent import *
    from otel_obs.catalog.api_keys import *
    from otel_obs.catalog.app import *
    from otel_obs.catalog.cache import *
    from otel_obs.catalog.context import *
    from otel_obs.catalog.database import *
    from otel_obs.catalog.detection import *
    from otel_obs.catalog.dialogue import *
    from otel_obs.catalog.errors import *
    from otel_obs.catalog.http import *
    from otel_obs.catalog.kit.metric import Metric
    from otel_obs.catalog.llm import *
    from otel_obs.catalog.model import *
    from otel_obs.catalog.pipeline import *
    from otel_obs.catalog.process import *
    from otel_obs.catalog.runtime import *
    from otel_obs.catalog.workers import *
    from otel_obs.catalog.workflow import *

GROUPS = (
    "http",
    "errors",
    "app",
    "model",
    "cache",
    "runtime",
    "process",
    "workers",
    "dialogue",
    "llm",
    "api_keys",
    "pipeline",
    "agent",
    "workflow",
    "context",
    "database",
    "detection",
)
"""The modules that hold metrics, in the order in which they are documented."""


def metrics() -> Iterator[tuple[str, Metric[Any]]]:
    """Every metric, with its group."""
    from otel_obs.catalog.kit.metric import Metric

    for group in GROUPS:
        module = import_module(f"{__name__}.{group}")
        for value in vars(module).values():
            if isinstance(value, Metric):
                yield group, value


if not TYPE_CHECKING:  # a type checker that saw __getattr__ would accept any misspelt name as Any

    def __getattr__(name: str) -> Any:
        # Groups are imported on first use: a service that only counts requests needs none of the others.
        if name in GROUPS:
            return import_module(f"{__name__}.{name}")
        if not name.startswith("_"):
            for group in GROUPS:
                module = import_module(f"{__name__}.{group}")
                if name in module.__all__:
                    return getattr(module, name)
            for other in _others_for(name):
                if _is_declared(other):
                    return __getattr__(other)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    members = (name for group in GROUPS for name in import_module(f"{__name__}.{group}").__all__)
    return sorted({*globals(), *GROUPS, *members})


_OTHER_NAMES = {
    "llm_requests_total": "llm_calls_total",
    "llm_latency_seconds": "llm_duration_seconds",
    "llm_request_duration_seconds": "llm_duration_seconds",
}
"""Names that teams use, with the name that the catalog has for the same metric."""

_ENDINGS = ("_seconds", "_total", "_bytes", "_gauge")


def _others_for(name: str) -> Iterator[str]:
    """The families that an application may mean by the name of a variable, such as `requests_counter`."""
    stem = name
    for kind in ("_counter", "_gauge", "_histogram", "_summary"):
        stem = stem.removesuffix(kind)
    for each in (name, stem, *(stem + ending for ending in _ENDINGS)):
        yield from (_OTHER_NAMES.get(each, each),) if each != name or name in _OTHER_NAMES else ()


def _is_declared(name: str) -> bool:
    return any(name in import_module(f"{__name__}.{group}").__all__ for group in GROUPS)
