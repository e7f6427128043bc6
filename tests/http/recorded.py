"""An observer that records into a real provider, and what it has recorded, as values to compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_obs.http.observe import HttpInstruments, Observer
from otel_obs.http.profiles import ClassicProfile, Profile, SemconvProfile
from otel_obs.sdk import MeterProvider

BOUNDS: list[float] = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30]
SIZES: list[float] = [100, 1000, 10_000]


class Distribution(NamedTuple):
    """A histogram's series."""

    count: int  # type: ignore[assignment]
    sum: float


class Recorded:
    """What an observer of its own has recorded.

    Args:
        naming: `Classic()` by default.
        sizes: Whether sizes are recorded.
        options: The observer's.
    """

    def __init__(self, naming: Profile | None = None, *, sizes: bool = False, **options: Any) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.naming = naming or ClassicProfile()
        self.observer = Observer(self._instruments(sizes), self.naming, **{"is_strict": True, **options})

    def _instruments(self, sizes: bool) -> HttpInstruments:
        meter: Any = self.provider.get_meter("otel_obs")
        is_semconv = isinstance(self.naming, SemconvProfile)
        names = self.naming.families

        def histogram(field: str, bounds: list[float]) -> Any:
            return meter.create_histogram(names[field], explicit_bucket_boundaries_advisory=bounds)

        return HttpInstruments(
            requests=None if is_semconv else meter.create_counter(names["requests"]),
            duration=histogram("duration", BOUNDS),
            in_progress=meter.create_up_down_counter(names["in_progress"]),
            first_byte=histogram("first_byte", BOUNDS),
            request_size=histogram("request_size", SIZES) if sizes else None,
            response_size=histogram("response_size", SIZES) if sizes else None,
            errors=meter.create_counter(names["errors"]),
            websocket_open=meter.create_up_down_counter(names["websocket_open"]),
            websocket_connections=meter.create_counter(names["websocket_connections"]),
            websocket_duration=histogram("websocket_duration", BOUNDS),
            websocket_messages=meter.create_counter(names["websocket_messages"]),
        )

    def series(self) -> Iterator[tuple[str, dict[str, Any], Any]]:
        """Family, attributes and value of every series."""
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: list[Any] = list(metric.data.data_points)
                    for point in points:
                        value: Any = getattr(point, "value", None)
                        if value is None:
                            value = Distribution(point.count, point.sum)
                        yield metric.name, dict(point.attributes or {}), value

    def of(self, field: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and value of the series of one instrument, by its field."""
        family = self.naming.families[field]
        return [(labels, value) for name, labels, value in self.series() if name == family]

    def requests(self) -> dict[tuple[str, str, str], float]:
        """Method, endpoint and status of what was counted, with the count."""
        return {
            (labels["method"], labels["endpoint"], labels["status_code"]): value
            for labels, value in self.of("requests")
        }

    def durations(self) -> dict[tuple[str, str], Distribution]:
        """Method and endpoint of what was timed."""
        return {(labels["method"], labels["endpoint"]): value for labels, value in self.of("duration")}

    def first_bytes(self) -> dict[str, Distribution]:
        """Time to first byte by endpoint."""
        return {labels["endpoint"]: value for labels, value in self.of("first_byte")}

    def in_progress(self) -> float:
        """The requests in progress, over all methods."""
        return float(sum(value for _, value in self.of("in_progress")))

    def errors(self) -> dict[str, float]:
        """Unhandled exceptions by type."""
        return {labels["error_type"]: value for labels, value in self.of("errors")}
