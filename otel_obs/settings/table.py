"""The table of settings. A row is a field: its variable, how its text is read, its default, what it does.

`docs/settings.md`, the variables that `opentelemetry-instrument` offers as options, and the types of the
options of `configure` come from the same rows.
"""

from __future__ import annotations

from typing import Any

from otel_obs.settings import parsers as parse
from otel_obs.settings.row import SettingRow

PREFIX = "OTEL_OBS_"


class SettingsTable:
    """The rows: of an instance, their defaults."""

    sdk_disabled: SettingRow[bool] = SettingRow(
        "OTEL_SDK_DISABLED", parse.DISABLED, False, "`true` switches OpenTelemetry off, otel_obs included."
    )
    enabled: SettingRow[bool] = SettingRow(
        "OTEL_OBS_ENABLED", parse.BOOL, True, "The one switch: `false` leaves the application untouched."
    )
    config_file: SettingRow[str] = SettingRow(
        "OTEL_CONFIG_FILE",
        parse.TEXT,
        "",
        "A file of OpenTelemetry's declarative configuration: what it says of metrics and the resource "
        "holds, whatever the variables say; it needs `otel-obs[config]`.",
    )
    service_name: SettingRow[str] = SettingRow(
        "OTEL_SERVICE_NAME",
        parse.TEXT,
        "",
        "The service's name, in `target_info`; read by the SDK's resource.",
    )
    resource_attributes: SettingRow[str] = SettingRow(
        "OTEL_RESOURCE_ATTRIBUTES",
        parse.TEXT,
        "",
        "Attributes of the service, `key=value,…`, in `target_info`; read by the SDK's resource.",
    )
    metrics_exporters: SettingRow[tuple[str, ...]] = SettingRow(
        "OTEL_METRICS_EXPORTER",
        parse.EXPORTERS,
        ("prometheus",),
        "Where metrics go: `prometheus` is the scraped `/metrics`; `otlp`, `console` or any installed "
        "exporter may be added with a comma; `none` is nowhere.",
    )
    traces_exporters: SettingRow[tuple[str, ...]] = SettingRow(
        "OTEL_TRACES_EXPORTER", parse.EXPORTERS, (), "Where spans go: `otlp`, `console`, or `none`."
    )
    logs_exporters: SettingRow[tuple[str, ...]] = SettingRow(
        "OTEL_LOGS_EXPORTER",
        parse.EXPORTERS,
        (),
        "Where log records go besides what the application does with them: `otlp`, `console`, or `none`.",
    )
    otlp_metrics_protocol: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
        parse.OTLP_PROTOCOL,
        "",
        "How `otlp` sends metrics: `grpc` or `http/protobuf`.",
    )
    otlp_traces_protocol: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        parse.OTLP_PROTOCOL,
        "",
        "How `otlp` sends spans: `grpc` or `http/protobuf`.",
    )
    otlp_logs_protocol: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
        parse.OTLP_PROTOCOL,
        "",
        "How `otlp` sends log records: `grpc` or `http/protobuf`.",
    )
    otlp_protocol: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        parse.OTLP_PROTOCOL,
        "grpc",
        "How `otlp` sends everything for which no other protocol is set: `grpc` or `http/protobuf`.",
    )
    otlp_temporality: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        parse.TEMPORALITY,
        "cumulative",
        "What `otlp` sends: `cumulative` totals, which Prometheus needs; `delta`; or `lowmemory`.",
    )
    otlp_histograms: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        parse.HISTOGRAMS,
        "explicit_bucket_histogram",
        "What `otlp` makes of histograms: `explicit_bucket_histogram` or "
        "`base2_exponential_bucket_histogram`.",
    )
    export_interval_ms: SettingRow[int] = SettingRow(
        "OTEL_METRIC_EXPORT_INTERVAL", parse.INTERVAL, 60_000, "Milliseconds between two pushes of metrics."
    )
    exemplar_filter: SettingRow[str] = SettingRow(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        parse.EXEMPLARS,
        "trace_based",
        "Which measurements may become exemplars: `trace_based` are those made in a sampled span.",
    )
    prometheus_host: SettingRow[str] = SettingRow(
        "OTEL_EXPORTER_PROMETHEUS_HOST",
        parse.HOST,
        "localhost",
        "The address of a `/metrics` server of its own: a host, with the port below, or a Unix socket, which "
        "needs no port: `unix:/run/shop/metrics.sock`.",
    )
    prometheus_port: SettingRow[int | None] = SettingRow(
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        parse.PORT,
        None,
        "The port of a `/metrics` server of its own. Unset: no such server; the application serves it.",
    )
    metrics_tls_certificate: SettingRow[str] = SettingRow(
        "OTEL_OBS_METRICS_TLS_CERTIFICATE",
        parse.GUARD_FILE,
        "",
        "The file of the certificate with which the `/metrics` server of its own speaks TLS.",
    )
    metrics_tls_key: SettingRow[str] = SettingRow(
        "OTEL_OBS_METRICS_TLS_KEY", parse.GUARD_FILE, "", "The file of that certificate's private key."
    )
    python_excluded_urls: SettingRow[tuple[str, ...]] = SettingRow(
        "OTEL_PYTHON_EXCLUDED_URLS",
        parse.PATTERNS,
        (),
        "Regular expressions, separated by commas; requests whose URL matches one are not counted.",
    )
    flask_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS", parse.PATTERNS, None, "The same for Flask only; used in its place."
    )
    fastapi_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for FastAPI only; used in its place.",
    )
    django_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_DJANGO_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for Django only; used in its place.",
    )
    quart_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_QUART_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for Quart only; used in its place.",
    )
    litestar_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_LITESTAR_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for Litestar only; used in its place.",
    )
    falcon_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_FALCON_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for Falcon only; used in its place.",
    )
    bottle_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_BOTTLE_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for Bottle only; used in its place.",
    )
    aiohttp_excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_PYTHON_AIOHTTP_SERVER_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for aiohttp's own server only; used in its place.",
    )
    excluded_urls: SettingRow[tuple[str, ...] | None] = SettingRow(
        "OTEL_OBS_EXCLUDED_URLS",
        parse.PATTERNS,
        None,
        "The same for metrics only, in every framework; used in their place.",
    )
    namespace: SettingRow[str] = SettingRow(
        "OTEL_OBS_NAMESPACE",
        parse.NAME,
        "",
        "Prefixes every family of the [ready metrics](metrics.md): `shop` gives `shop_…`.",
    )
    labels: SettingRow[tuple[tuple[str, str], ...]] = SettingRow(
        "OTEL_OBS_LABELS",
        parse.LABELS,
        (),
        "Renames labels of the ready metrics: `status_code=status,endpoint=path`.",
    )
    names: SettingRow[tuple[tuple[str, str], ...]] = SettingRow(
        "OTEL_OBS_NAMES",
        parse.FAMILIES,
        (),
        "Renames families of the ready metrics: `http_requests_total=flask_http_request_total`.",
    )
    buckets: SettingRow[tuple[tuple[str, tuple[float, ...]], ...]] = SettingRow(
        "OTEL_OBS_BUCKETS",
        parse.BUCKETS,
        (),
        "Upper bounds of the ready metrics' histograms, by family: "
        "`http_request_duration_seconds=.01,.1,1`; several families are separated by `;`.",
    )
    profile: SettingRow[str] = SettingRow(
        "OTEL_OBS_PROFILE",
        parse.PROFILE,
        "classic",
        "Which names metrics have: `classic` is what Prometheus users write, `semconv` is OpenTelemetry's.",
    )
    http: SettingRow[str] = SettingRow(
        "OTEL_OBS_HTTP",
        parse.HTTP,
        "on",
        "`on` counts requests; `off` does not; `upstream` leaves it to OpenTelemetry's own instrumentations.",
    )
    http_sizes: SettingRow[bool] = SettingRow(
        "OTEL_OBS_HTTP_SIZES", parse.BOOL, False, "`true` adds histograms of request and response body sizes."
    )
    client: SettingRow[bool] = SettingRow(
        "OTEL_OBS_CLIENT",
        parse.BOOL,
        True,
        "`on` adds up over all workers what is counted with `prometheus_client`; `off` leaves it alone.",
    )
    compiled: SettingRow[bool] = SettingRow(
        "OTEL_OBS_COMPILED",
        parse.BOOL,
        True,
        "`off` records in Python also where the compiled fast paths are installed.",
    )
    runtime_metrics: SettingRow[bool] = SettingRow(
        "OTEL_OBS_RUNTIME_METRICS",
        parse.BOOL,
        True,
        "`false` leaves out memory, CPU, GC, threads and open files.",
    )
    callback_age_ms: SettingRow[int] = SettingRow(
        "OTEL_OBS_CALLBACK_AGE",
        parse.CALLBACK_AGE,
        500,
        "Milliseconds for which a scrape takes what callbacks have said; 0 asks them at each scrape.",
    )
    metrics_path: SettingRow[str] = SettingRow(
        "OTEL_OBS_METRICS_PATH", parse.PATH, "/metrics", "Where the application serves metrics."
    )
    live: SettingRow[str] = SettingRow(
        "OTEL_OBS_LIVE",
        parse.PATH,
        "",
        "Where the application serves [its live page](live.md); unset: nowhere.",
    )
    live_traces: SettingRow[str] = SettingRow(
        "OTEL_OBS_LIVE_TRACES",
        parse.TRACE_ADDRESS,
        "",
        "Where a trace is shown, with `{trace_id}` in it: exemplars on the live page link there.",
    )
    metrics_token: SettingRow[str] = SettingRow(
        "OTEL_OBS_METRICS_TOKEN", parse.TOKEN, "", "The bearer token that a scrape must show.", secret=True
    )
    metrics_token_file: SettingRow[str] = SettingRow(
        "OTEL_OBS_METRICS_TOKEN_FILE",
        parse.GUARD_FILE,
        "",
        "A file that holds the bearer token that a scrape must show; it may be replaced at any time.",
    )
    metrics_on_both: SettingRow[bool] = SettingRow(
        "OTEL_OBS_METRICS_ON_BOTH",
        parse.BOOL,
        False,
        "`true` serves metrics on the application's port too, where they have a port of their own.",
    )
    metrics_inside: SettingRow[bool] = SettingRow(
        "OTEL_OBS_METRICS_INSIDE",
        parse.BOOL,
        False,
        "`true` makes `/metrics` a route of the Flask, FastAPI or Starlette application, behind its own "
        "checks; other applications then serve none.",
    )
    metrics_slash: SettingRow[bool] = SettingRow(
        "OTEL_OBS_METRICS_SLASH",
        parse.BOOL,
        False,
        "`true` answers the path with a slash at its end too, which passes a proxy's rule for the path.",
    )
    openmetrics2: SettingRow[bool] = SettingRow(
        "OTEL_OBS_OPENMETRICS2",
        parse.BOOL,
        False,
        "`true` writes [OpenMetrics 2.0](reference/formats.md#openmetrics-20), a release candidate, for a "
        "scraper that asks for it.",
    )
    translation: SettingRow[str] = SettingRow(
        "OTEL_OBS_TRANSLATION",
        parse.TRANSLATION,
        "UnderscoreEscapingWithSuffixes",
        "How [OpenTelemetry's names](how-to/names.md#opentelemetrys-names) are spelt in Prometheus.",
    )
    scope_labels: SettingRow[str] = SettingRow(
        "OTEL_OBS_SCOPE_LABELS",
        parse.SCOPE_LABELS,
        "auto",
        "Whether series carry `otel_scope_…` labels; `auto`: only where two scopes define one family.",
    )
    label_order: SettingRow[str] = SettingRow(
        "OTEL_OBS_LABEL_ORDER",
        parse.LABEL_ORDER,
        "name",
        "How labels of the catalog's families stand: by `name`, or as [declared](metrics.md).",
    )
    resource_labels: SettingRow[tuple[str, ...]] = SettingRow(
        "OTEL_OBS_RESOURCE_LABELS",
        parse.NAMES,
        (),
        "Resource attributes that every series carries as labels.",
    )
    cardinality_limit: SettingRow[int] = SettingRow(
        "OTEL_OBS_CARDINALITY_LIMIT",
        parse.LIMIT,
        2000,
        "How many series an instrument has before the rest share one with `otel_metric_overflow`.",
    )
    run_dir: SettingRow[str] = SettingRow(
        "OTEL_OBS_RUN_DIR",
        parse.DIRECTORY,
        "",
        "Where the service's directory is made; it joins nobody. Unset: `/dev/shm`, `XDG_RUNTIME_DIR` or the "
        "directory for temporary files.",
    )
    service_id: SettingRow[str] = SettingRow(
        "OTEL_OBS_SERVICE_ID",
        parse.SERVICE_ID,
        "",
        "Makes one service of all processes with this value, of one user and one `OTEL_OBS_RUN_DIR`. For "
        "workers that a supervisor starts; a server's own workers find each other.",
    )


SETTINGS: tuple[SettingRow[Any], ...] = tuple(
    row for row in vars(SettingsTable).values() if isinstance(row, SettingRow)
)
BY_FIELD = {row.field: row for row in SETTINGS}
BY_VARIABLE = {row.variable: row for row in SETTINGS}
