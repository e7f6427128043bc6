"""A service, a collector, the stand-in for Grafana Cloud, and real receivers of remote write behind it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.collector import find
from tests.support.processes import Service, tool
from tests.support.prometheus import PrometheusServer
from tests.support.samples import Samples

WORKERS = 4
ENVIRONMENT = "production"


def shop(directory: Path, env: Mapping[str, str], workers: int = WORKERS) -> Service:
    """The service, under gunicorn and the wrapper."""
    return Service(
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        "-w",
        str(workers),
        "-b",
        "127.0.0.1:{port}",
        "shop:app",
        cwd=Path(__file__).parent,
        env={"OTEL_SERVICE_NAME": "shop", **env},
        log_file=directory / "shop.log",
    )


def use(service: Service, requests: int = 30) -> None:
    """Some requests, of which one fails."""
    for number in range(requests):
        assert service.get(f"/predict/{number}").status == 200
    assert service.get("/fail").status == 500


def receiver(directory: Path, binary: Path) -> PrometheusServer:
    """A Prometheus that only takes remote write."""
    directory.mkdir(parents=True)
    (directory / "prometheus.yml").write_text("{}")
    return PrometheusServer(
        str(binary),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        "--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
        cwd=directory,
        log_file=directory / "prometheus.log",
        ready_path="/-/ready",
    )


@contextlib.contextmanager
def receivers(directory: Path) -> Iterator[dict[str, PrometheusServer]]:
    """Debian's Prometheus, which is 2.42, and Prometheus 3, whichever of them there are."""
    debian, three = shutil.which("prometheus"), find("prometheus3")
    binaries = {"2.42": Path(debian) if debian else None, "3.13": three / "prometheus" if three else None}
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(receiver(directory / name, binary))
            for name, binary in binaries.items()
            if binary is not None
        }


def exposed(openmetrics: str) -> Samples:
    """Every series of an exposition; the time of its creation is none."""
    samples = Samples()
    families: Any = text_string_to_metric_families  # untyped
    for family in families(openmetrics):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                samples[sample.name, frozenset(sample.labels.items())] = sample.value
    return samples


def with_labels(samples: Samples, **labels: str) -> Samples:
    """The same with further labels."""
    return Samples(
        {(name, frozenset({**dict(has), **labels}.items())): value for (name, has), value in samples.items()}
    )


def without_labels(samples: Samples, *names: str) -> Samples:
    """The same without these labels, series that are one then added up."""
    found = Samples()
    for (name, labels), value in samples.items():
        key = name, frozenset((label, text) for label, text in labels if label not in names)
        found[key] = found.get(key, 0.0) + value
    return found


def by_value_of_le(samples: Samples) -> Samples:
    """The same with `le` written in one way: `5.0` and `5` are one bound."""
    return Samples(
        {
            (name, frozenset((label, str(float(text)) if label == "le" else text) for label, text in has)): v
            for (name, has), v in samples.items()
        }
    )


def without_families(samples: Samples, *beginnings: str) -> Samples:
    """The same without the families whose names begin so."""
    return Samples({key: value for key, value in samples.items() if not key[0].startswith(beginnings)})
