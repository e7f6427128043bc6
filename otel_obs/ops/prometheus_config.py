"""Configurations of Prometheus: on one machine, in Docker, on Kubernetes, and as an agent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from otel_obs.errors import OperationsError
from otel_obs.ops.refusals import refuse_address, refuse_doubles, refuse_labels, refuse_url

PLACES = ("local", "docker", "kubernetes", "agent")
FEATURES = "exemplar-storage,native-histograms"
"""Before 3.8, Prometheus needs the flag for native histograms; later versions log that it does nothing."""

LONGEST_INTERVAL_S = 120
"""Two samples and one that was missed fit into the 5 minutes of the rules."""

_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

MOST_S = 292 * 365 * 86400
"""A duration of Go holds no more nanoseconds."""


def seconds(duration: str) -> float:
    """The seconds of a duration of Prometheus with one unit, such as `15s`.

    Raises:
        OperationsError: The text is not such a duration.
    """
    found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", duration)
    if not found or not 0 < int(found[1]) * _UNITS_S[found[2]] <= MOST_S:
        raise OperationsError(
            f"duration {duration!r}", "is none that Prometheus knows", "write it as 15s or 1m"
        )
    return int(found[1]) * _UNITS_S[found[2]]


def refuse_interval(interval: str) -> None:
    """Refuse an interval at which rates over five minutes have no two samples, so that no alert fires.

    Raises:
        OperationsError: It is longer than that, or no duration.
    """
    if seconds(interval) > LONGEST_INTERVAL_S:
        raise OperationsError(
            f"interval {interval!r}",
            "is too long: rates are over 5 minutes, and Prometheus forgets a sample after 5",
            f"give one of at most {LONGEST_INTERVAL_S} s",
        )


@dataclass(frozen=True)
class ScrapeJob:
    """One scrape job: its targets, its times, and its labels.

    Attributes:
        job: The label `job`.
        targets: The targets, `host:port` each.
        interval: The time between scrapes; "" for the global one.
        timeout: The timeout, at most the interval; "" for the global one.
        labels: Labels that are added to every series of the targets.
        path: The path of the metrics.
        scheme: `http` or `https`.
        token_file: A file with the bearer token, if the service needs one.
        drops: A regular expression of families that are dropped.
    """

    job: str
    targets: tuple[str, ...]
    interval: str = ""
    timeout: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    path: str = "/metrics"
    token_file: str = ""
    drops: str = ""
    scheme: str = "http"

    @classmethod
    def of_address(cls, job: str, address: str, token_file: str = "") -> ScrapeJob:
        """A job that scrapes one address, such as `https://shop.example.org/internal/metrics`."""
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return cls(job, (target,), path=parts.path or "/metrics", token_file=token_file, scheme=parts.scheme)

    def __post_init__(self) -> None:
        """Refuse a job that Prometheus would refuse at its start, or a target that it could never reach.

        Raises:
            OperationsError: A target is not `host:port`, or the timeout is longer than the interval.
        """
        for target in self.targets:
            refuse_address("target", target, "localhost:8000")
        refuse_labels(self.labels)
        refuse_doubles("target", self.targets, "give it once")
        if self.interval and self.timeout and seconds(self.timeout) > seconds(self.interval):
            raise OperationsError(
                f"job {self.job!r}",
                f"has a time-out of {self.timeout} and an interval of {self.interval}",
                "let it give up before the next scrape",
            )

    def config(self) -> dict[str, Any]:
        """The scrape configuration; defaults are left out."""
        config: dict[str, Any] = {
            "job_name": self.job,
            "scrape_interval": self.interval,
            "scrape_timeout": self.timeout,
            "metrics_path": self.path if self.path != "/metrics" else "",
            "scheme": self.scheme if self.scheme != "http" else "",
            "authorization": {"credentials_file": self.token_file} if self.token_file else None,
            "static_configs": [
                {"targets": list(self.targets), **({"labels": dict(self.labels)} if self.labels else {})}
            ],
        }
        if self.drops:
            config["metric_relabel_configs"] = [
                {"source_labels": ["__name__"], "regex": self.drops, "action": "drop"}
            ]
        return {key: value for key, value in config.items() if value}


@dataclass(frozen=True)
class RemoteWrite:
    """A remote store that all samples are sent to."""

    url: str
    username: str = ""
    password_file: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no URL.

        Raises:
            OperationsError: It is none.
        """
        refuse_url("remote write to", self.url)

    def config(self) -> dict[str, Any]:
        """One entry of `remote_write`."""
        auth = {"username": self.username, "password_file": self.password_file}
        return {
            "url": self.url,
            "send_exemplars": True,
            "send_native_histograms": True,
            **({"basic_auth": auth} if self.username else {}),
            "queue_config": {"max_shards": 20, "max_samples_per_send": 2000},
        }


def prometheus_config(
    jobs: Sequence[ScrapeJob],
    *,
    interval: str = "15s",
    timeout: str = "10s",
    external: Mapping[str, str] | None = None,
    alertmanager: str = "localhost:9093",
    remote_write: Sequence[RemoteWrite] = (),
    is_agent: bool = False,
    discovered: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A whole configuration.

    Args:
        jobs: Jobs with fixed targets.
        interval: The time between two scrapes, and between two evaluations of rules.
        timeout: The timeout of a scrape; cut to the interval.
        external: Labels that are added to everything this Prometheus sends elsewhere.
        alertmanager: The address of Alertmanager.
        remote_write: Stores that samples are also sent to.
        is_agent: Whether it only scrapes and sends, without rules and alerts.
        discovered: Further scrape configurations, such as those of `kubernetes_jobs`.

    Raises:
        OperationsError: An interval is not a duration, or an agent has no remote store.
    """
    if is_agent and not remote_write:
        raise OperationsError("an agent", "has nowhere to send to", "give --remote-write URL")
    timeout = timeout if seconds(timeout) <= seconds(interval) else interval
    config: dict[str, Any] = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": timeout,
            **({} if is_agent else {"evaluation_interval": interval}),
            **({"external_labels": dict(external)} if external else {}),
        }
    }
    if not is_agent:
        config["rule_files"] = ["rules/*.yml", "alerts/*.yml"]
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        config["storage"] = {"exemplars": {"max_exemplars": 100_000}}
    config["scrape_configs"] = [*(job.config() for job in jobs), *map(dict, discovered)]
    if remote_write:
        config["remote_write"] = [each.config() for each in remote_write]
    return config


def kubernetes_jobs(job: str) -> list[dict[str, Any]]:
    """Scrape the pods that have the annotations `prometheus.io/scrape`, `port` and `path`.

    Args:
        job: The value of the label `app.kubernetes.io/name` of the pods; it becomes their `job`.
    """
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io"
    return [
        {
            "job_name": job,
            "kubernetes_sd_configs": [{"role": "pod"}],
            "relabel_configs": [
                {
                    "source_labels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
                    "regex": re.escape(job),
                    "action": "keep",
                },
                {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
                # A pod that has ended does not answer any more; that is not a failure.
                {
                    "source_labels": ["__meta_kubernetes_pod_phase"],
                    "regex": "Succeeded|Failed",
                    "action": "drop",
                },
                {
                    "source_labels": [f"{annotation}_path"],
                    "regex": "(.+)",
                    "target_label": "__metrics_path__",
                },
                {
                    "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}_port"],
                    "regex": "([^;]+);(\\d+)",
                    "target_label": "__address__",
                    "replacement": "$1:$2",
                },
                {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
                {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
                {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
            ],
        }
    ]


def prometheus_flags(
    data: str, *, config: str, address: str = "127.0.0.1:9090", retention: str = "15d", size: str = "10GB"
) -> list[str]:
    """The command-line flags of a server.

    Args:
        data: The directory of its data.
        config: The file of its configuration.
        address: The address that it listens on.
        retention: How long samples are kept: 7 to 15 days in development, 30 to 90 in production.
        size: The most space they may take; the limit that is reached first applies.
    """
    return [
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={retention}",
        f"--storage.tsdb.retention.size={size}",
        f"--web.listen-address={address}",
        "--web.enable-lifecycle",
        "--query.timeout=2m",
        f"--enable-feature={FEATURES}",
    ]
