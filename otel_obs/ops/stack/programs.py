"""The parts of a stack: programs, their arguments, and their readiness checks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from otel_obs.ops.prometheus_config import prometheus_flags

LOOPBACK = "127.0.0.1"


class Placement(NamedTuple):
    """The directory, port and limits of one part of a stack.

    Attributes:
        root: The directory of the whole stack.
        port: The port that the part listens on.
        retention: How long data are kept.
        size: The most space that samples may take.
    """

    root: Path
    port: int
    retention: str = "15d"
    size: str = "10GB"


class StackPart(NamedTuple):
    """One program of a stack.

    Attributes:
        name: Its name in files, messages and options.
        commands: Possible names of its program; the first that is found is used.
        port: Its default port.
        arguments: Returns its command line, without the program.
        ready_path: The path that answers 200 when it is ready.
        is_needed: Whether the stack cannot start without it.
        data: The directory of its data, below the stack's `data`.
        reload_path: The path where a POST reloads its configuration; "" where it cannot reload.
        config: The file below the stack's `config` that it needs; without that file it is not started.
        ready_port: The port of `ready_path`, by its name in `MORE_PORTS`; "" for `port`.
    """

    name: str
    commands: tuple[str, ...]
    port: int
    arguments: Callable[[Placement], list[str]]
    ready_path: str
    is_needed: bool
    data: str
    reload_path: str = ""
    config: str = ""
    ready_port: str = ""


def _prometheus(at: Placement) -> list[str]:
    return prometheus_flags(
        str(at.root / "data" / "prometheus"),
        config=str(at.root / "config" / "prometheus" / "prometheus.yml"),
        address=f"{LOOPBACK}:{at.port}",
        retention=at.retention,
        size=at.size,
    )


def _alertmanager(at: Placement) -> list[str]:
    return [
        f"--config.file={at.root / 'config' / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={at.root / 'data' / 'alertmanager'}",
        f"--web.listen-address={LOOPBACK}:{at.port}",
        "--cluster.listen-address=",
    ]


def _grafana(at: Placement) -> list[str]:
    home = Path(shutil.which("grafana") or "/usr/share/grafana").resolve().parent.parent
    settings = {
        "server.http_addr": LOOPBACK,
        "server.http_port": str(at.port),
        "paths.data": str(at.root / "data" / "grafana"),
        "paths.provisioning": str(at.root / "config" / "grafana" / "provisioning"),
        # On loopback, for one developer: visitors may view without a login, and change nothing.
        "auth.anonymous.enabled": "true",
        "auth.anonymous.org_role": "Viewer",
        "security.disable_initial_admin_creation": "true",
        "analytics.reporting_enabled": "false",
    }
    return ["server", f"--homepath={home}", *(f"cfg:{key}={value}" for key, value in settings.items())]


def _logs(at: Placement) -> list[str]:
    return [
        f"-storageDataPath={at.root / 'data' / 'logs'}",
        f"-retentionPeriod={at.retention}",
        f"-httpListenAddr={LOOPBACK}:{at.port}",
    ]


def _traces(at: Placement) -> list[str]:
    return [f"--config={at.root / 'config' / TRACES_FILE}"]


def _collector(at: Placement) -> list[str]:
    return [f"--config={at.root / 'config' / COLLECTOR_FILE}"]


TRACES_FILE, COLLECTOR_FILE = "traces/jaeger.yaml", "collector/collector.yaml"

PARTS = (
    # Stores first: the collector sends to them.
    StackPart("logs", ("victoria-logs", "victoria-logs-prod"), 9428, _logs, "/health", False, "logs"),
    StackPart("traces", ("jaeger",), 16686, _traces, "/", False, "traces", config=TRACES_FILE),
    StackPart(
        "collector",
        ("otelcol-obs", "otelcol-contrib", "otelcol"),
        4318,
        _collector,
        "/",
        False,
        "collector",
        config=COLLECTOR_FILE,
        ready_port="collector-health",
    ),
    StackPart("prometheus", ("prometheus",), 9090, _prometheus, "/-/ready", True, "prometheus", "/-/reload"),
    StackPart(
        "alertmanager",
        ("alertmanager", "prometheus-alertmanager"),
        9093,
        _alertmanager,
        "/-/ready",
        True,
        "alertmanager",
        "/-/reload",
    ),
    StackPart("grafana", ("grafana",), 3000, _grafana, "/api/health", False, "grafana"),
)
BY_NAME: Mapping[str, StackPart] = {part.name: part for part in PARTS}
MORE_PORTS: Mapping[str, int] = {
    "traces-otlp": 14318,
    "collector-grpc": 4317,
    "collector-metrics": 8888,
    "collector-health": 13133,
}
"""Further default ports of parts."""


def all_ports(given: Mapping[str, int]) -> dict[str, int]:
    """Every port of a stack by its name; *given* ports replace the defaults."""
    return {part.name: part.port for part in PARTS} | dict(MORE_PORTS) | dict(given)


def part_program(part: StackPart, root: Path) -> str:
    """The program of a part: a downloaded one, else one on the path; "" where there is none."""
    for command in part.commands:
        fetched = root / "bin" / command
        if fetched.is_file():
            return str(fetched)
        found = shutil.which(command)
        if found:
            return found
    return ""
