"""A service of one process whose metrics can be scraped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from otel_obs.catalog.kit.metric import install, uninstall
from otel_obs.catalog.kit.naming import Naming
from otel_obs.cells.view import MergedView
from otel_obs.exposition import TEXT, render
from otel_obs.sdk import MeterProvider


class Service:
    """The catalog on a provider of its own."""

    def __init__(self, naming: Naming | None = None) -> None:
        self.provider = MeterProvider(shutdown_on_exit=False)
        self._view = MergedView(self.provider.worker)
        uninstall()  # what other tests have recorded without a service is held for none
        install(self.provider, naming or Naming())

    def scrape(self) -> str:
        """The whole exposition."""
        return b"".join(render(self._view.snapshot(), TEXT)).decode()

    def samples(self, prefix: str = "") -> list[str]:
        """The lines of samples that begin with *prefix*, buckets left out."""
        lines = self.scrape().splitlines()
        return [
            line for line in lines if line.startswith(prefix) and line[0] != "#" and "_bucket" not in line
        ]

    def family(self, name: str) -> list[str]:
        """The lines of one family, its HELP and TYPE included."""
        lines = self.scrape().splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith(f"# HELP {name} "))
        rest = lines[start + 2 :]
        end = next((i for i, line in enumerate(rest) if line.startswith("#")), len(rest))
        return lines[start : start + 2 + end]


@pytest.fixture
def start() -> Iterator[Callable[..., Service]]:
    """Install the catalog under a naming."""
    yield Service
    uninstall()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """The catalog under the classic naming."""
    return start()
