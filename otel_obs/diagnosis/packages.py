"""Installed distributions, instrumentors and exporters; none of them is imported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, distributions, entry_points, version
from typing import NamedTuple

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

from otel_obs.distro import CLIENTS
from otel_obs.frameworks.known import INSTRUMENTORS
from otel_obs.settings import Settings

OURS = "otel_obs"
LOADED, DEFERRED, REPLACED, SKIPPED, REFUSED = "loaded", "when imported", "replaced", "not loaded", "conflict"


class Instrumentor(NamedTuple):
    """One of OpenTelemetry's instrumentations, what the wrapper does with it, and why."""

    name: str
    state: str
    why: str


def chosen_distribution(environ: Mapping[str, str]) -> tuple[str, str, list[str]]:
    """The distribution that the wrapper loads, the source of that choice, and all installed ones.

    Where the user has not set OTEL_PYTHON_DISTRO, `otel_obs.environment_variables` sets it to otel_obs.
    """
    installed = sorted({point.name for point in entry_points(group="opentelemetry_distro")})
    name = environ.get("OTEL_PYTHON_DISTRO", "")
    if name:
        return name, "OTEL_PYTHON_DISTRO", installed
    return OURS, "otel_obs, where OTEL_PYTHON_DISTRO is not set", installed


def instrumentors(environ: Mapping[str, str], settings: Settings, is_ours: bool) -> Iterator[Instrumentor]:
    """Every installed instrumentation, and whether the wrapper loads it."""
    disabled = {name.strip() for name in environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    for point in sorted(
        _unique(entry_points(group="opentelemetry_instrumentor")), key=lambda each: each.name
    ):
        yield Instrumentor(point.name, *_fate(point, disabled, settings, is_ours))


def _unique(points: Iterable[EntryPoint]) -> Iterable[EntryPoint]:
    return {point.name: point for point in points}.values()


def _fate(point: EntryPoint, disabled: set[str], settings: Settings, is_ours: bool) -> tuple[str, str]:
    if point.name in disabled or "*" in disabled:
        return SKIPPED, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names it"
    conflict = get_dist_dependency_conflicts(point.dist) if point.dist is not None else None
    if conflict is not None:
        found = conflict.found or ", ".join(map(str, conflict.found_any or ()))
        wanted = conflict.required or ", ".join(map(str, conflict.required_any or ()))
        wanted = str(wanted).partition(";")[0].strip()
        if found:
            return REFUSED, f"it instruments {wanted}, and {found} is installed"
        return SKIPPED, f"{wanted} is not installed"
    if not is_ours or settings.http == "upstream":
        return LOADED, "it measures requests and calls itself"
    if point.name in INSTRUMENTORS:
        return REPLACED, "otel_obs measures these requests; spans are made where there is tracing"
    if point.name in CLIENTS:
        if not settings.traces_exporters:
            return SKIPPED, "it is for spans, and OTEL_TRACES_EXPORTER is not set"
        return DEFERRED, f"for its spans, as soon as {CLIENTS[point.name]} is imported"
    return LOADED, "otel_obs does not measure this itself"


def version_of(package: str) -> str:
    """The installed version of a distribution; "" where there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def names_installed() -> frozenset[str]:
    """The names of all installed distributions, as PyPI spells them."""
    names = (dist.metadata["Name"] for dist in distributions())
    return frozenset(name.lower().replace("_", "-") for name in names if name)


def missing_exporters(settings: Settings) -> Iterator[tuple[str, str]]:
    """The exporters that settings name but that are not installed: the variable and the name."""
    asked = (
        ("OTEL_METRICS_EXPORTER", "metrics", settings.metrics_exporters, settings.otlp_metrics_protocol),
        ("OTEL_TRACES_EXPORTER", "traces", settings.traces_exporters, settings.otlp_traces_protocol),
    )
    for variable, signal, names, own in asked:
        for name in names:
            protocol = own or settings.otlp_protocol
            entry = {"grpc": "otlp_proto_grpc"}.get(protocol, "otlp_proto_http") if name == "otlp" else name
            points = entry_points(group=f"opentelemetry_{signal}_exporter", name=entry)
            if name not in ("prometheus", "none", "console") and not list(points):
                yield variable, name
