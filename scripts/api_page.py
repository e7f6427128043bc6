"""The page of the public API, from the docstrings as griffe reads them; nothing of ours is imported."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent

NOT_RUN = "<!-- not run: a part of a program, as a docstring shows it -->"

HEAD = """\
# API

What an application imports. Everything else, and every name that begins with an underscore, may change
without notice. Code that is written for `prometheus_client` finds its names in `otel_obs.prometheus`:
[the list](../migrate.md#names).

"""

# The heading, what is said of it, and each name with the module that it is defined in.
SECTIONS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "otel_obs",
        "Switched on, told, and read. All of it is imported from `otel_obs`.",
        (
            "assembly.applications.instrument",
            "assembly.applications.PrometheusMiddleware",
            "assembly.setup.configure",
            "assembly.setup.shutdown",
            "assembly.exposing.get_metrics",
            "assembly.stock_place.PrometheusReader",
            "catalog.cache.observe",
            "http.observe.ExtraLabels",
            "sdk.timing.Timer",
            "sdk.timing.track_time",
            "catalog.errors.track_errors",
            "catalog.app.set_app_info",
            "catalog.model.set_model_state",
            "catalog.model.record_prediction",
            "catalog.cache.update_cache_metrics",
            "catalog.detection.record_detection",
        ),
    ),
    (
        "otel_obs.catalog",
        """\
What records [the ready metrics](../metrics.md), by group: `from otel_obs.catalog import llm`. Each metric is
an instrument of that name too: `from otel_obs.catalog import predictions_total`.""",
        (
            "catalog.llm.call",
            "catalog.llm.record_llm_call",
            "catalog.llm.set_prices",
            "catalog.api_keys.api_key",
            "catalog.errors.record_error",
            "catalog.database.observe_engine",
        ),
    ),
    (
        "otel_obs.sdk",
        """\
OpenTelemetry's metrics API over shared memory. Applications use OpenTelemetry's own names; these are what
they then get, with what is added to the API.""",
        (
            "sdk.meter.Meter",
            "sdk.instruments.Counter",
            "sdk.instruments.UpDownCounter",
            "sdk.instruments.Histogram",
            "sdk.instruments.Gauge",
        ),
    ),
    ("otel_obs.tracing", "See [traces](../tracing.md).", ("tracing.traced",)),
    (
        "otel_obs.service",
        "Which service a process belongs to: [workers](../learn/workers.md).",
        ("service.explain", "service.Explanation"),
    ),
    (
        "otel_obs.errors",
        "What is raised while something is set up. After that nothing is raised.",
        ("errors",),
    ),
)


def api_page() -> str:
    """The whole page."""
    package = griffe.load(
        "otel_obs",
        search_paths=[ROOT],
        docstring_parser="google",
        docstring_options={"returns_multiple_items": False, "returns_named_value": False},
    )
    parts = [HEAD]
    for heading, about, names in SECTIONS:
        parts.append(f"## {heading}\n\n{about}\n\n")
        for name in names:
            found = package[name]
            members = _errors(found) if isinstance(found, griffe.Module) else [found]
            parts.extend(_describe(member) for member in members)
    page = "".join(parts).rstrip() + "\n"
    return re.sub(r"^```python$", f"{NOT_RUN}\n```python", page, flags=re.MULTILINE)


def _errors(module: griffe.Module) -> Iterator[griffe.Class]:
    for member in module.members.values():
        if isinstance(member, griffe.Class) and not member.name.startswith("_") and member.docstring:
            yield member


def _describe(member: griffe.Object | griffe.Alias, heading: str = "###") -> str:
    parts = [f"{heading} {member.name}\n\n```text\n{_signature(member)}\n```\n\n", _docstring(member)]
    if isinstance(member, griffe.Class):
        for method in member.members.values():
            is_public = isinstance(method, griffe.Function) and not method.name.startswith("_")
            if is_public and method.docstring and not method.name.startswith("after_fork"):
                parts.append(_describe(method, "####"))
    return "".join(parts)


def _signature(member: griffe.Object | griffe.Alias) -> str:
    """As one would write it, on one line where it fits."""
    function = member.members.get("__init__") if isinstance(member, griffe.Class) else member
    if not isinstance(function, griffe.Function):
        bases = ", ".join(str(base) for base in getattr(member, "bases", ()))
        return f"class {member.name}({bases})" if bases else f"class {member.name}"
    shown, kinds = [], griffe.ParameterKind
    parameters = [p for p in function.parameters if p.name != "self"]
    starred = False
    for parameter in parameters:
        star = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(
            parameter.kind or kinds.positional_only, ""
        )
        if parameter.kind is kinds.keyword_only and not starred:
            shown.append("*")
        starred = starred or star == "*" or parameter.kind is kinds.keyword_only
        text = star + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and not star:
            text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        shown.append(text)
    returns = (
        "" if isinstance(member, griffe.Class) or function.returns is None else f" -> {function.returns}"
    )
    line = f"{member.name}({', '.join(shown)}){returns}"
    if len(line) <= 100:
        return line
    return f"{member.name}(\n" + "".join(f"    {text},\n" for text in shown) + f"){returns}"


def _docstring(member: griffe.Object | griffe.Alias) -> str:
    parts = []
    for section in member.docstring.parsed if member.docstring is not None else ():
        if section.kind is griffe.DocstringSectionKind.text:
            parts.append(f"{section.value}\n\n")
        elif section.kind is griffe.DocstringSectionKind.examples:
            parts.append("".join(f"```text\n{text}\n```\n\n" for _, text in section.value))
        elif isinstance(section.value, list):
            rows = "".join(f"| {_named(entry)} | {_cell(entry.description)} |\n" for entry in section.value)
            parts.append(f"| {section.kind.value} | |\n|---|---|\n{rows}\n")
        else:
            text = getattr(section.value, "contents", section.value)
            parts.append(f"**{section.title or section.kind.value}**: {text}\n\n")
    return "".join(parts)


def _named(entry: object) -> str:
    name = getattr(entry, "name", "") or getattr(entry, "annotation", "") or ""
    if "|" in (name := str(name)):
        # A sign between two columns, even in code, for some readers of Markdown.
        return f"<code>{html.escape(name).replace('|', '&#124;')}</code>"
    return f"`{name}`" if name else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
