"""The systems of the examples as real servers for tests, and what their metrics look like."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Service, tool
from tests.support.samples import Samples
from tests.support.waiting import until
from tests.support.web import request

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROVIDERS = "gemini", "openai", "claude"


def settings(example: str) -> dict[str, str]:
    """What the `service.env` of an example sets."""
    lines = (EXAMPLES / example / "service.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


class OfflineLlm(Service):
    """The OpenAI-compatible server that the examples ship."""

    def __init__(self, log_file: Path) -> None:
        super().__init__(
            *(sys.executable, "offline_llm.py", "--port", "{port}"),
            cwd=EXAMPLES / "reviewlens",
            log_file=log_file,
        )

    @property
    def urls(self) -> dict[str, str]:
        """The variables by which the systems find the providers."""
        return {f"{name.upper()}_URL": f"{self.url}/{name}/v1" for name in PROVIDERS}

    def fail(self, provider: str, every: int = 1) -> None:
        """Let every so manieth call of a provider fail; 0 ends that."""
        answer = request(f"{self.url}/{provider}/outage", method="PUT", json_body={"every": every})
        assert answer.status == 200


def uvicorn(
    example: str, log_file: Path, env: Mapping[str, str], workers: int = 2, ready_path: str = "/metrics"
) -> Service:
    """An example as its README starts it under uvicorn; a scrape, which is not counted, finds it ready."""
    return Service(
        *(tool("opentelemetry-instrument"), tool("uvicorn"), "app:app"),
        *("--workers", str(workers), "--port", "{port}"),
        cwd=EXAMPLES / example,
        env={**settings(example), **env},
        log_file=log_file,
        ready_path=ready_path,
    )


def gunicorn(
    example: str, log_file: Path, env: Mapping[str, str], workers: int = 2, ready_path: str = "/metrics"
) -> Service:
    """An example as its README starts it under gunicorn."""
    return Service(
        *(tool("opentelemetry-instrument"), tool("gunicorn"), "app:app"),
        *("-w", str(workers), "-b", "127.0.0.1:{port}"),
        cwd=EXAMPLES / example,
        env={**settings(example), **env},
        log_file=log_file,
        ready_path=ready_path,
    )


def label_names(samples: Samples) -> dict[str, set[str]]:
    """The names of the labels of every family; a histogram's without `le`.

    Raises:
        AssertionError: Two series of a family have different labels.
    """
    found: dict[str, set[str]] = {}
    for name, labels in samples:
        family, names = name, {label for label, _ in labels}
        for suffix in ("_bucket", "_sum", "_count"):
            stem = name.removesuffix(suffix)
            if stem != name and any(f"{stem}_bucket" == other for other, _ in samples):
                family, names = stem, names - {"le"}
        assert found.setdefault(family, names) == names, f"{family} has {found[family]} and {names}"
    return found


def when(service: Service, name: str, value: float, **labels: str) -> Samples:
    """The metrics of a service, once all samples of that name and these labels add up to *value*."""

    def scrape() -> Samples | None:
        samples = service.scrape()
        assert samples.total(name, **labels) == value, (
            f"{name}{labels or ''} is {samples.total(name, **labels)}"
        )
        return samples

    found = until(scrape, f"{name}{labels or ''} at {value}")
    assert found is not None
    return found
