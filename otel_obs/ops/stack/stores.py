"""Configurations of a stack's collector and stores, where their programs are installed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otel_obs.ops.collector_config import CollectorPorts, stores_config
from otel_obs.ops.compose import LOGS_PATH, store_sources, traces_config
from otel_obs.ops.prometheus_config import ScrapeJob
from otel_obs.ops.stack.programs import BY_NAME, COLLECTOR_FILE, LOOPBACK, TRACES_FILE, part_program
from otel_obs.ops.yaml_text import yaml_text


class StackStores:
    """The stores of traces and logs of a stack, and the collector before them.

    Attributes:
        ports: Every port of the stack by its name.
    """

    def __init__(self, root: Path, ports: Mapping[str, int]) -> None:
        self.ports = ports
        self._root = root
        self._has_traces, self._has_logs, can_collect = (
            bool(part_program(BY_NAME[name], root)) for name in ("traces", "logs", "collector")
        )
        self.has_collector = can_collect and (self._has_traces or self._has_logs)

    def files(self) -> dict[str, str]:
        """The texts of configurations by path below the stack's `config`."""
        files = {}
        if self._has_traces:
            kept = str(self._root.resolve() / "data" / "traces")
            page, http = self.ports["traces"], self.ports["traces-otlp"]
            config = traces_config(kept, LOOPBACK, http, page)
            # Jaeger's own metrics would use the same port as the collector's.
            config["service"]["telemetry"] = {"metrics": {"level": "none"}}
            files[TRACES_FILE] = yaml_text(config)
        if self.has_collector:
            files[COLLECTOR_FILE] = yaml_text(self._collector())
        return files

    def sources(self) -> list[dict[str, Any]]:
        """Grafana's data sources."""
        has = {"Traces": self._has_traces, "Logs": self._has_logs}
        known = store_sources(self._url("traces"), self._url("logs"))
        return [source for source in known if has[source["name"]]]

    def jobs(self) -> tuple[ScrapeJob, ...]:
        """The scrape job of the collector, if there is one."""
        target = f"{LOOPBACK}:{self.ports['collector-metrics']}"
        return (ScrapeJob("collector", (target,)),) if self.has_collector else ()

    def hint(self) -> str:
        """The variables with which a service sends to the collector, as a message; "" without a collector."""
        if not self.has_collector:
            return ""
        signals = {"TRACES": self._has_traces, "LOGS": self._has_logs}
        told = " ".join(f"OTEL_{signal}_EXPORTER=otlp" for signal, is_there in signals.items() if is_there)
        return f"a service sends there with: {told} OTEL_EXPORTER_OTLP_ENDPOINT={self._url('collector')}"

    def _collector(self) -> dict[str, Any]:
        ports = CollectorPorts(
            LOOPBACK,
            self.ports["collector-grpc"],
            self.ports["collector"],
            self.ports["collector-metrics"],
            self.ports["collector-health"],
        )
        return stores_config(
            self._url("traces-otlp") if self._has_traces else "",
            self._url("logs") + LOGS_PATH if self._has_logs else "",
            ports,
        )

    def _url(self, name: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[name]}"
