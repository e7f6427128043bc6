"""A real Prometheus server that scrapes what a test starts."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.processes import Service

BINARY = shutil.which("prometheus")
MISSING = "Debian's prometheus is not installed; install it with: sudo apt-get install prometheus"


def prometheus_server(
    directory: Path, targets: Mapping[str, str], *, scrape_interval: str = "200ms", rules: str = ""
) -> PrometheusServer:
    """A Prometheus that keeps its data in *directory*.

    Args:
        directory: Where its configuration, its data and its log go.
        targets: `host:port` by job name.
        scrape_interval: How often each target is asked, as Prometheus writes durations.
        rules: The text of a rule file.
    """
    config = {
        "global": {"scrape_interval": scrape_interval, "evaluation_interval": scrape_interval},
        "rule_files": ["rules.yml"] if rules else [],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
        ],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rules.yml").write_text(rules)
    return configured_server(BINARY or "prometheus", directory, config, "--log.level=warn")


def configured_server(
    binary: str, directory: Path, config: Mapping[str, Any], *options: str
) -> PrometheusServer:
    """A Prometheus with a configuration of its own, which keeps its data in *directory*."""
    (directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    return PrometheusServer(
        binary,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:{port}",
        *options,
        cwd=directory,
        log_file=directory / "prometheus.log",
        ready_path="/-/ready",
    )


def prometheus_3() -> str:
    """Prometheus 3 where it has been built already; skips the test where it has not."""
    script = Path(__file__).parents[2] / "scripts" / "prometheus3"
    found = subprocess.run([script, "--find"], capture_output=True, text=True, timeout=30)
    if found.returncode != 0:
        pytest.skip("Prometheus 3 is not built; build it with: scripts/prometheus3")
    return str(Path(found.stdout.strip()) / "prometheus")


class PrometheusServer(Service):
    """Its HTTP API, as far as tests ask it."""

    def _is_ready(self) -> bool:
        return super()._is_ready() and self.get(self.ready_path or "/").status == 200

    def api(self, path: str, **parameters: str) -> Any:
        """The `data` of one call of the HTTP API.

        Raises:
            AssertionError: Prometheus answered with an error.
        """
        query = "?" + urlencode(parameters) if parameters else ""
        answer = self.get(f"/api/v1/{path}{query}").json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an instant vector; a scalar has no labels."""
        data = self.api("query", query=expression)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def value(self, expression: str) -> float | None:
        """The value of an expression that gives one series; None where it gives none.

        Raises:
            AssertionError: It gives several.
        """
        found = self.query(expression)
        assert len(found) <= 1, f"{expression} gives {len(found)} series: {found}"
        return found[0][1] if found else None

    def target_health(self, job: str) -> tuple[str, str]:
        """`up`, `down` or `unknown` of a job's target, and its last error."""
        targets = self.api("targets")["activeTargets"]
        found = ((t["health"], t["lastError"]) for t in targets if t["labels"]["job"] == job)
        return next(found, ("unknown", "not discovered yet"))
