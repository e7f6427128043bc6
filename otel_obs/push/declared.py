"""`OTEL_CONFIG_FILE`: metrics and the resource of OpenTelemetry's declarative configuration.

The package `opentelemetry-configuration` reads the file, validates it against its schema and makes objects of
it. It also sets up the other parts: spans, log records, propagators and instrumentations.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any, NamedTuple

from otel_obs.errors import SettingError, key_not_supported
from otel_obs.push.reader import PushReader
from otel_obs.settings import Settings

_logger = logging.getLogger("otel_obs")

VARIABLE = "OTEL_CONFIG_FILE"
_PACKAGE = "opentelemetry.configuration"
_INTERVAL_MS = 60_000

_UNSUPPORTED = frozenset(
    {
        "aggregation_cardinality_limit",
        "counter",
        "excluded",
        "gauge",
        "histogram",
        "meter_configurator_development",
        "observable_counter",
        "observable_gauge",
        "observable_up_down_counter",
        "producers",
        "target_info_enabled_development",
        "timeout",
        "up_down_counter",
    }
)
"""Keys at any depth of `meter_provider` that have no effect here; those of an exporter are not checked."""


class Declared(NamedTuple):
    """The contents of a file.

    Attributes:
        is_disabled: Whether the file switches everything off.
        options: Settings that replace those of the environment, by field.
        views: Views of the SDK.
        resource: The SDK's resource; None where the file has none.
        unsupported: A line for each key without effect, and for each warning of the package.
        make_readers: Makes the readers that push.
        hand_over: Has the package set up the parts that are not metrics.
    """

    is_disabled: bool
    options: dict[str, Any]
    views: list[Any]
    resource: Any
    unsupported: list[str]
    make_readers: Callable[[], list[Any]]
    hand_over: Callable[[], None]


def read_declared(path: str) -> Declared:
    """Read a file.

    Raises:
        SettingError: It cannot be read, or violates its schema; the message names the key.
    """
    try:
        package = import_module(_PACKAGE)
        meters, resources = (import_module(f"{_PACKAGE}.{name}") for name in ("_meter_provider", "_resource"))
    except ImportError:
        remedy = "needs a package that is not installed; install it with: pip install 'otel-obs[config]'"
        raise SettingError(VARIABLE, path, remedy) from None
    # Collect the package's log messages in place of emitting them: only one worker is to log them (`claims`).
    heard, logger = _Warnings(), logging.getLogger(_PACKAGE)
    was_passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        config: Any = package.load_config_file(path)
        metrics = config.meter_provider
        views = [meters._create_view(view) for view in (metrics and metrics.views) or ()]
        resource = None if config.resource is None else resources.create_resource(config.resource)
        options = {} if metrics is None else dict(_options(metrics))
    except Exception as error:  # the package is not stable yet, and documents no exceptions
        # A parser of YAML tells of a place in three lines.
        raise SettingError(VARIABLE, path, f"cannot be used: {' '.join(str(error).split())}") from None
    finally:
        logger.removeHandler(heard)
        logger.propagate = was_passed_on
    periodic = [
        reader.periodic for reader in (metrics.readers if metrics else ()) if reader.periodic is not None
    ]
    return Declared(
        bool(config.disabled),
        options,
        views,
        resource,
        [
            *(key_not_supported(path, key) for key in _unknown(config)),
            *(key_not_supported(path, key) for key in _unsupported(metrics, "meter_provider")),
            *(f"{VARIABLE}={path!r}: {line}" for line in heard.lines),
        ],
        lambda: [_push_reader(meters, reader) for reader in periodic],
        lambda: _hand_over(config, resources.create_resource(config.resource)),
    )


class _Warnings(logging.Handler):
    """Keeps the package's warnings. Its errors are raised as well, and unsupported keys we list ourselves."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if record.levelno == logging.WARNING and "not supported" not in line:
            self.lines.append(line)


def _options(metrics: Any) -> Iterator[tuple[str, Any]]:
    pulls = [
        reader.pull.exporter.prometheus_development for reader in metrics.readers if reader.pull is not None
    ]
    exporters = ["prometheus"] if any(pull is not None for pull in pulls) else ["none"]
    yield "metrics_exporters", exporters
    if metrics.exemplar_filter is not None:
        yield "exemplar_filter", metrics.exemplar_filter.value
    limits = [
        each.cardinality_limits.default
        for reader in metrics.readers
        for each in (reader.periodic, reader.pull)
        if each is not None and each.cardinality_limits is not None and each.cardinality_limits.default
    ]
    if limits:
        yield "cardinality_limit", min(limits)
    for pull in pulls[:1]:
        yield from _exposition(pull)


def _exposition(pull: Any) -> Iterator[tuple[str, Any]]:
    if pull is None:
        return
    if pull.host is not None:
        yield "prometheus_host", pull.host
    if pull.port is not None:
        yield "prometheus_port", pull.port
    if pull.scope_info_enabled is not None:
        yield "scope_labels", "on" if pull.scope_info_enabled else "off"
    labels = pull.resource_constant_labels
    if labels is not None and labels.included:
        yield "resource_labels", list(labels.included)
    if pull.translation_strategy is not None:
        words = pull.translation_strategy.value.removesuffix("/development").split("_")
        yield "translation", "".join(words)


def _push_reader(meters: Any, config: Any) -> PushReader:
    """Make a reader; each worker makes its own exporter."""
    chosen = next(
        (getattr(config.exporter, each.name) for each in fields(config.exporter) if _is_chosen(config, each)),
        None,
    )
    return PushReader(
        lambda: meters._create_push_metric_exporter(config.exporter),
        meters._map_temporality(getattr(chosen, "temporality_preference", None)),
        meters._map_histogram_aggregation(getattr(chosen, "default_histogram_aggregation", None)),
        (_INTERVAL_MS if config.interval is None else config.interval) / 1e3,
    )


def _is_chosen(config: Any, each: Any) -> bool:
    return getattr(config.exporter, each.name) is not None


def _unknown(config: Any) -> Iterator[str]:
    """Yield the keys that the schema lets pass and nobody reads: of the file, and of pulled exporters."""
    yield from _more_keys(config)
    readers = config.meter_provider.readers if config.meter_provider is not None else ()
    for at, reader in enumerate(readers):
        if reader.pull is not None:
            for name in _more_keys(reader.pull.exporter):
                yield f"meter_provider.readers[{at}].pull.exporter.{name}"


def _more_keys(config: Any) -> list[str]:
    return [str(key) for key in getattr(config, "additional_properties", None) or ()]


def _unsupported(value: Any, path: str) -> Iterator[str]:
    """Yield the paths of the keys that have no effect, except below an exporter."""
    if isinstance(value, list):
        for at, item in enumerate(value):
            yield from _unsupported(item, f"{path}[{at}]")
    elif is_dataclass(value):
        for each in fields(value):
            found = getattr(value, each.name)
            below = f"{path}.{each.name}"
            if found is None or below.endswith((".periodic.exporter", ".selector")):
                continue
            if each.name in _UNSUPPORTED:
                yield below
            else:
                yield from _unsupported(found, below)


def _hand_over(config: Any, resource: Any) -> None:
    """Have the package set up spans, log records, propagators and instrumentations, if the file has any."""
    for name, part in (("_tracer_provider", "tracer_provider"), ("_logger_provider", "logger_provider")):
        given = getattr(config, part)
        if given is not None:
            module = import_module(f"{_PACKAGE}.{name}")
            getattr(module, f"configure_{part}")(given, resource, config.attribute_limits)
    if config.propagator is not None:
        import_module(f"{_PACKAGE}._propagator").configure_propagator(config.propagator)
    if config.instrumentation_development is not None:
        instrumentation = import_module(f"{_PACKAGE}.instrumentation")
        instrumentation.configure_instrumentation(config.instrumentation_development)


def applied(settings: Settings, declared: Declared) -> Settings:
    """Replace settings of the environment by those of the file.

    Raises:
        SettingError: The file has an invalid value.
    """
    if declared.is_disabled:
        return settings.with_options(enabled=False)
    options: Any = declared.options
    try:
        return settings.with_options(**options)
    except SettingError as error:
        raise SettingError(VARIABLE, settings.config_file, f"cannot be used: {error}") from None
