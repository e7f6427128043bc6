"""A real OpenTelemetry Collector with the configurations of this project."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.cloud import TOKEN, USER
from tests.support.ports import free_port
from tests.support.processes import Service, clean_env

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "collector"
START = DIRECTORY / "start"
MISSING = "no collector was found; build one, with Go 1.25 or later, by: make collector"
OTLP_USER = "654321"


@functools.cache
def find(script: str) -> Path | None:
    """What `scripts/collector` or `scripts/prometheus3` has built, or has found on PATH."""
    found = subprocess.run([ROOT / "scripts" / script, "--find"], capture_output=True, text=True)
    return Path(found.stdout.strip()) if found.returncode == 0 else None


needs_collector = pytest.mark.skipif(find("collector") is None, reason=MISSING)


def variables(prometheus_url: str = "", otlp_url: str = "") -> dict[str, str]:
    """What a user of Grafana Cloud sets."""
    return {
        "GC_PROM_URL": prometheus_url or "http://127.0.0.1:9/api/prom/push",
        "GC_PROM_USER": USER,
        "GC_OTLP_URL": otlp_url or "http://127.0.0.1:9/otlp",
        "GC_OTLP_USER": OTLP_USER,
        "GC_TOKEN": TOKEN,
    }


class Collector(Service):
    """A running collector, started by `collector/start`; ready when its health check says so.

    Args:
        directory: Where its log and its queue go.
        env: Variables of the configuration.
        config: The configuration's file name.
        options: Further options of the collector; batches leave at once by default.
    """

    def __init__(
        self,
        directory: Path,
        env: Mapping[str, str],
        config: str = "otelcol.yaml",
        options: tuple[str, ...] = ("--set=processors.batch.timeout=50ms",),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.grpc_port, self.http_port, self.own_port = free_port(), free_port(), free_port()
        super().__init__(
            str(START), config, *options, log_file=directory / "collector.log", ready_path="/", ready_s=60
        )
        listening = {
            "HEALTH_ADDR": f"127.0.0.1:{self.port}",
            "OTLP_GRPC": f"127.0.0.1:{self.grpc_port}",
            "OTLP_HTTP": f"127.0.0.1:{self.http_port}",
            "SELF_PORT": str(self.own_port),
            "QUEUE_DIR": str(directory / "queue"),
            "SCRAPE_INTERVAL": "500ms",
            "APP_TARGETS": "[]",
        }
        self._env = clean_env({**listening, **env})

    def _is_ready(self) -> bool:
        return super()._is_ready() and self.get("/").status == 200

    def otlp(self, protocol: str = "http/protobuf") -> dict[str, str]:
        """The variables with which a service sends here."""
        port = self.grpc_port if protocol == "grpc" else self.http_port
        return {
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }

    def _show_log(self) -> None:
        """What is worth seeing of a log of which most lines say that all is well."""
        lines = [line for line in self.log.splitlines() if "\tinfo\t" not in line]
        print("log of the collector:\n" + "\n".join(line[:600] for line in lines[-15:]))

    @property
    def remedies(self) -> list[str]:
        """The lines that the start script has added."""
        return [line for line in self.log.splitlines() if line.startswith("collector: ")]
