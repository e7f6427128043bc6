"""`PrometheusReader`: a replacement of OpenTelemetry's `PrometheusMetricReader` that merges all workers."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from inspect import signature
from typing import Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from prometheus_client import REGISTRY, CollectorRegistry

from otel_obs.assembly.client_registry import client_writes_created
from otel_obs.assembly.setup import Running
from otel_obs.cells.attributes import canonical
from otel_obs.cells.snapshot import Snapshot
from otel_obs.cells.view import MergedView
from otel_obs.errors import options_without_effect, reader_of_one_process
from otel_obs.exposition import DEFAULT_OPTIONS, Options
from otel_obs.exposition.from_client import IS_OURS
from otel_obs.exposition.to_client import to_prometheus_client
from otel_obs.sdk import MeterProvider

_logger = logging.getLogger("otel_obs")

_TARGET = "target"


class PrometheusReader(PrometheusMetricReader):  # type: ignore[misc,unused-ignore]
    """Shows a provider's metrics in a registry of `prometheus_client`, as the stock reader does.

    With `otel_obs.configure(readers=[PrometheusReader()])`, they are merged over all workers, and named and
    typed as on `/metrics`. On the SDK's `MeterProvider` it works as the stock reader, which shows this
    process only; a warning says so.

    Args:
        disable_target_info: Whether `target_info` is left out.
        prefix: Put before every name except `target_info`, with an underscore.
        scope_info_enabled: Whether series have labels of their scope; None follows the settings.
        resource_attribute_filter: Called with the key of a resource attribute; true makes it a label.
        registry: The registry to register with.
    """

    def __init__(
        self,
        disable_target_info: bool = False,
        prefix: str = "",
        scope_info_enabled: bool | None = None,
        *,
        resource_attribute_filter: Callable[[str], bool] | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._chosen = _ChosenPlace(
            disable_target_info, prefix, scope_info_enabled, resource_attribute_filter, registry is REGISTRY
        )
        super().__init__(**self._chosen.for_stock(PrometheusMetricReader), registry=registry)
        # The stock constructor has registered its collector; ours takes its place.
        self._registry.unregister(self._collector)
        self._shown = _EitherCollector(self._collector, self._chosen)
        self._collector: Any = self._shown
        self._registry.register(self._shown)

    def _set_meter_provider(self, meter_provider: Any) -> None:
        super()._set_meter_provider(meter_provider)
        is_ours = isinstance(meter_provider, MeterProvider)
        self._shown.use(meter_provider if is_ours else None)
        if not is_ours:
            _logger.warning("%s", reader_of_one_process(type(self).__name__))

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Unregister; a second call does nothing."""
        try:
            super().shutdown(timeout_millis=timeout_millis, **kwargs)
        except KeyError:
            return


class _ChosenPlace:
    """The options of a `PrometheusReader`."""

    def __init__(
        self,
        disable_target_info: bool,
        prefix: str,
        scope_info_enabled: bool | None,
        resource_attribute_filter: Callable[[str], bool] | None,
        is_default_registry: bool,
    ) -> None:
        self._given: dict[str, Any] = {
            "disable_target_info": disable_target_info,
            "prefix": prefix,
            "scope_info_enabled": scope_info_enabled,
            "resource_attribute_filter": resource_attribute_filter,
        }
        self.prefix, self._is_default_registry = prefix, is_default_registry

    def for_stock(self, stock: type) -> dict[str, Any]:
        """The options that are given and that the installed version of the stock reader accepts."""
        known = signature(stock).parameters
        return {name: value for name, value in self._given.items() if value is not None and name in known}

    def shown(self, present: Options) -> Options:
        """Apply the options to *present*, the provider's options."""
        is_scoped, chooses = self._given["scope_info_enabled"], self._given["resource_attribute_filter"]
        labels = [key for key, _ in present.resource if chooses(key)] if chooses is not None else []
        return replace(
            present,
            has_target_info=not self._given["disable_target_info"],
            scope_labels=present.scope_labels if is_scoped is None else "on" if is_scoped else "off",
            resource_labels=(*present.resource_labels, *labels),
        )

    def say_what_is_in_vain(self) -> None:
        """Warn of options without effect: in the default registry, `MergedCollector` shows the families."""
        given = [name for name, value in self._given.items() if value]
        if self._is_default_registry and given:
            _logger.warning("%s", options_without_effect(given))


class _EitherCollector:
    """The registered collector: merged families of our provider, or the stock collector of the SDK's."""

    def __init__(self, stock: Any, chosen: _ChosenPlace) -> None:
        self._stock, self._chosen = stock, chosen
        self._provider: weakref.ref[MeterProvider] | None = None
        self._view: MergedView | None = None

    def use(self, provider: MeterProvider | None) -> None:
        """Collect from *provider* from now on; None is the stock collector."""
        self._provider = None if provider is None else weakref.ref(provider)
        self._view = None if provider is None else MergedView(provider.worker)
        # Marked so that our own exposition, which collects from the registry, does not write them twice.
        setattr(self, IS_OURS, provider is not None)

    def describe(self) -> list[Any]:
        """Claim no names: they are known only once something is recorded."""
        return []

    def add_metrics_data(self, metrics_data: Any) -> None:
        """Pass the SDK's data on to the stock collector, if that is in use."""
        if self._provider is None:
            self._stock.add_metrics_data(metrics_data)

    def say_what_is_in_vain(self) -> None:
        """Warn of options that have no effect because `MergedCollector` replaces this collector."""
        self._chosen.say_what_is_in_vain()

    def collect(self) -> Iterator[Any]:
        """Yield every family."""
        if self._provider is None:
            yield from self._stock.collect()
            return
        provider = self._provider()
        if provider is not None:
            snapshot, options, others = self._read(provider)
            families = [*to_prometheus_client(snapshot, self._chosen.shown(options), client_writes_created())]
            yield from (_with_prefix(family, self._chosen.prefix) for family in (*families, *others))

    def _read(self, provider: MeterProvider) -> tuple[Snapshot, Options, Iterable[Any]]:
        pipeline = Running.pipeline
        if pipeline is not None and pipeline.provider is provider:
            snapshot, families = pipeline.divided()
            return snapshot, pipeline.options, families
        provider.refresh_observables()
        view = self._view or MergedView(provider.worker)
        resource = canonical(provider.resource.attributes)
        return view.snapshot(), replace(DEFAULT_OPTIONS, resource=resource), ()


def _with_prefix(family: Any, prefix: str) -> Any:
    if prefix and family.name != _TARGET:
        family.name = f"{prefix}_{family.name}"
        family.samples = [sample._replace(name=f"{prefix}_{sample.name}") for sample in family.samples]
    return family
