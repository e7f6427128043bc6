"""`OTEL_CONFIG_FILE`: metrics and the resource of OpenTelemetry's declarative configuration.

The package `opentelemetry-configuration` reads the file, validates it against its schema and makes objects of
it. It also sets up the other parts: spans, log records, propagators and instrumentations.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, NamedTuple

from otel_obs.errors import SettingError, exporter_not_installed, key_not_supported
from otel_obs.push.exporters import hint
from otel_obs.push.reader import PushReader
from otel_obs.settings import Settings
from otel_obs.settings.parsers import INTERVAL, LONGEST_INTERVAL_MS

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


_UNREAD = "distribution", "log_level"
"""Keys of the file itself that have no effect here."""

_EXPORTERS = {
    "otlp_http": ("opentelemetry.exporter.otlp.proto.http", "'otel-obs[otlp]'"),
    "otlp_grpc": ("opentelemetry.exporter.otlp.proto.grpc", "'otel-obs[otlp]'"),
    "otlp_file_development": (
        "opentelemetry.exporter.otlp.json.file",
        "opentelemetry-exporter-otlp-json-file",
    ),
}
"""The module of each exporter that the schema knows, and what installs it."""


class Declared(NamedTuple):
    """The contents of a file.

    Attributes:
        is_disabled: Whether the file switches everything off.
        options: Settings that replace those of the environment, by field.
        views: Views of the SDK.
        resource: The SDK's resource; None where the file has none.
        unsupported: A line for each key without effect, for each exporter that is not installed, and for each
            warning of the package.
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
    _check_kind(path)
    # Collect the package's log messages in place of emitting them: only one worker is to log them (`claims`).
    heard, logger = _Warnings(), logging.getLogger(_PACKAGE)
    was_passed_on, logger.propagate = logger.propagate, False
    logger.addHandler(heard)
    try:
        config: Any = package.load_config_file(path)
        metrics = config.meter_provider
        views = [meters._create_view(view) for view in (metrics and metrics.views) or ()]
        resource = _resource(resources.create_resource, config.resource)
        options = {} if metrics is None else dict(_options(metrics))
        _check_intervals(metrics)
    except Exception as error:  # the package is not stable yet, and documents no exceptions
        # A parser of YAML tells of a place in three lines.
        raise SettingError(VARIABLE, path, f"cannot be used: {' '.join(str(error).split())}") from None
    finally:
        logger.removeHandler(heard)
        logger.propagate = was_passed_on
    missing = dict(_missing_exporters(metrics))
    periodic = [reader for key, reader in _periodic(metrics) if key not in missing]
    return Declared(
        bool(config.disabled),
        options,
        views,
        resource if config.resource is not None else None,
        [
            *(key_not_supported(path, key) for key in _unknown(config)),
            *(key_not_supported(path, key) for key in _unsupported(metrics, "meter_provider")),
            *(exporter_not_installed(path, *found) for found in missing.values()),
            *(f"{VARIABLE}={path!r}: {line}" for line in heard.lines),
        ],
        lambda: [_push_reader(meters, reader) for reader in periodic],
        lambda: _hand_over(config, resource),
    )


def _check_kind(path: str) -> None:
    """Let nothing be opened that is no file: a pipe may never end, and each worker has to read it again.

    Raises:
        SettingError: There is something else.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return  # the package says what is wrong
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "no regular file"
        raise SettingError(VARIABLE, path, f"cannot be used: it is {kind}; name a file of YAML or JSON")


def _resource(create: Callable[[Any], Any], config: Any) -> Any:
    """Make the SDK's resource.

    Raises:
        ValueError: An attribute's value is not of its type; the message names it.
    """
    try:
        return create(config)
    except Exception as error:
        for attribute in getattr(config, "attributes", None) or ():
            try:
                create(replace(config, attributes=[attribute]))
            except Exception:
                raise ValueError(f"resource.attributes: {attribute.name!r}: {error}") from None
        raise


def _check_intervals(metrics: Any) -> None:
    """Have a time between two pushes that a thread can wait for; the schema allows none, and any.

    Raises:
        ValueError: It is neither.
    """
    for key, reader in _periodic(metrics):
        if reader.interval is not None and not 1 <= reader.interval <= LONGEST_INTERVAL_MS:
            raise ValueError(f"{key}.interval={reader.interval} {INTERVAL.expected}")


def _periodic(metrics: Any) -> Iterator[tuple[str, Any]]:
    """Yield the readers that push, with their keys."""
    for at, reader in enumerate(metrics.readers if metrics is not None else ()):
        if reader.periodic is not None:
            yield f"meter_provider.readers[{at}].periodic", reader.periodic


def _missing_exporters(metrics: Any) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield the readers whose exporter is not installed, each with the exporter's key and the remedy."""
    group = "opentelemetry_metrics_exporter"
    for key, reader in _periodic(metrics):
        for name in _more_keys(reader.exporter)[:1]:
            if not entry_points(group=group, name=name):
                yield key, (f"{key}.exporter.{name}", hint("metrics", name))
        for name, (module, package) in _EXPORTERS.items():
            if getattr(reader.exporter, name, None) is not None and not _is_installed(module):
                yield key, (f"{key}.exporter.{name}", f"pip install {package}")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # of a package above it
        return False


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
    pulls = [pull for _, pull in _pulls(metrics)]
    exporters = ["prometheus"] if pulls else ["none"]
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


def _pulls(metrics: Any) -> Iterator[tuple[str, Any]]:
    """Yield the readers that serve a page, with their keys."""
    for at, reader in enumerate(metrics.readers if metrics is not None else ()):
        if reader.pull is not None and reader.pull.exporter.prometheus_development is not None:
            yield f"meter_provider.readers[{at}].pull", reader.pull.exporter.prometheus_development


def _exposition(pull: Any) -> Iterator[tuple[str, Any]]:
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
    yield from (name for name in _UNREAD if getattr(config, name, None) is not None)
    # A service has one page.
    yield from (key for key, _ in list(_pulls(config.meter_provider))[1:])
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
