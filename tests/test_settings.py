from __future__ import annotations

from pathlib import Path

import pytest

from otel_obs import environment_variables
from otel_obs.errors import SettingError
from otel_obs.settings import PREFIX, SETTINGS, Settings, parsers

NO_BUCKETS = (
    "does not set buckets; expected family=ascending numbers, e.g. "
    "http_request_duration_seconds=.01,.1,1;inference_duration_seconds=.1,1,5"
)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.metrics_exporters == ("prometheus",)
    assert settings.prometheus_port is None
    assert settings.metrics_path == "/metrics"
    assert settings.cardinality_limit == 2000
    assert settings.is_on


def test_what_is_on_by_default() -> None:
    """What serves a page at a second place, or to more clients, is chosen."""
    on = {row.field for row in SETTINGS if row.default is True}
    assert on == {"client", "compiled", "enabled", "runtime_metrics"}


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.from_env({"OTEL_OBS_PROFILE": " ", "OTEL_EXPORTER_PROMETHEUS_PORT": ""}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("OTEL_SDK_DISABLED", "TRUE", "sdk_disabled", True),
        ("OTEL_SDK_DISABLED", "1", "sdk_disabled", False),
        ("OTEL_OBS_ENABLED", "off", "enabled", False),
        ("OTEL_SERVICE_NAME", "shop", "service_name", "shop"),
        ("OTEL_METRICS_EXPORTER", "prometheus, otlp", "metrics_exporters", ("prometheus", "otlp")),
        ("OTEL_METRICS_EXPORTER", "none", "metrics_exporters", ()),
        ("OTEL_TRACES_EXPORTER", "otlp_proto_http", "traces_exporters", ("otlp_proto_http",)),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on", "exemplar_filter", "always_on"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "9464", "prometheus_port", 9464),
        ("OTEL_OBS_EXCLUDED_URLS", "/health, ^/internal/.*$", "excluded_urls", ("/health", "^/internal/.*$")),
        ("OTEL_OBS_NAMESPACE", "sparklio_", "namespace", "sparklio"),
        (
            "OTEL_OBS_LABELS",
            "status_code=status, endpoint = path",
            "labels",
            (("status_code", "status"), ("endpoint", "path")),
        ),
        (
            "OTEL_OBS_NAMES",
            "http_requests_total=flask_http_request_total,llm_duration_seconds=llm_latency_seconds",
            "names",
            (
                ("http_requests_total", "flask_http_request_total"),
                ("llm_duration_seconds", "llm_latency_seconds"),
            ),
        ),
        (
            "OTEL_OBS_BUCKETS",
            "http_request_duration_seconds=.01,.05,1",
            "buckets",
            (("http_request_duration_seconds", (0.01, 0.05, 1.0)),),
        ),
        (
            "OTEL_OBS_BUCKETS",
            "a_seconds=.01,1,+Inf; b_bytes=1e3,1e6;",
            "buckets",
            (("a_seconds", (0.01, 1.0)), ("b_bytes", (1000.0, 1000000.0))),
        ),
        ("OTEL_OBS_PROFILE", "SemConv", "profile", "semconv"),
        ("OTEL_OBS_HTTP", "upstream", "http", "upstream"),
        ("OTEL_OBS_METRICS_PATH", "/internal/metrics/", "metrics_path", "/internal/metrics"),
        ("OTEL_OBS_LABEL_ORDER", "declared", "label_order", "declared"),
        ("OTEL_OBS_SCOPE_LABELS", "on", "scope_labels", "on"),
        ("OTEL_OBS_TRANSLATION", "NoUTF8EscapingWithSuffixes", "translation", "NoUTF8EscapingWithSuffixes"),
        ("OTEL_OBS_OPENMETRICS2", "on", "openmetrics2", True),
        ("OTEL_OBS_TRANSLATION", "notranslation", "translation", "NoTranslation"),
        (
            "OTEL_OBS_RESOURCE_LABELS",
            "service.name,service.version",
            "resource_labels",
            ("service.name", "service.version"),
        ),
        ("OTEL_OBS_CARDINALITY_LIMIT", "10", "cardinality_limit", 10),
        ("OTEL_OBS_HTTP_SIZES", "true", "http_sizes", True),
        ("OTEL_OBS_CLIENT", "off", "client", False),
        ("OTEL_OBS_RUN_DIR", "/run/shop", "run_dir", "/run/shop"),
    ],
)
def test_a_variable_sets_its_field(variable: str, text: str, field: str, value: object) -> None:
    assert getattr(Settings.from_env({variable: text}), field) == value


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("OTEL_OBS_ENABLED", "flase", "is not a switch; expected true or false"),
        ("OTEL_OBS_PROFILE", "modern", "is not known; expected classic or semconv"),
        ("OTEL_OBS_HTTP", "yes", "is not known; expected on, off or upstream"),
        (
            "OTEL_OBS_TRANSLATION",
            "dots",
            (
                "is not known; expected UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, "
                "NoUTF8EscapingWithSuffixes or NoTranslation"
            ),
        ),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "70000", "is not a port; expected a number from 0 to 65535"),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "http", "is not a port; expected a number from 0 to 65535"),
        (
            "OTEL_METRICS_EXPORTER",
            "none,otlp",
            "is not a list of exporters; expected prometheus, otlp, console, or none alone",
        ),
        (
            "OTEL_OBS_EXCLUDED_URLS",
            "/health,(",
            "is not a list of regular expressions; expected e.g. /health,/internal/.*",
        ),
        (
            "OTEL_OBS_LABELS",
            "status_code",
            "does not rename labels; expected old=new, e.g. status_code=status",
        ),
        (
            "OTEL_OBS_LABELS",
            "a=b,a=c",
            "does not rename labels; expected old=new, e.g. status_code=status",
        ),
        (
            "OTEL_OBS_BUCKETS",
            "a_seconds=1,.5",
            NO_BUCKETS,
        ),
        (
            "OTEL_OBS_BUCKETS",
            "a_seconds=nan",
            NO_BUCKETS,
        ),
        (
            "OTEL_OBS_NAMESPACE",
            "my-shop",
            "is not a metric name; expected letters, digits and underscores, not beginning with a digit",
        ),
        (
            "OTEL_OBS_METRICS_PATH",
            "metrics",
            "is not a path; expected it to begin with a slash, e.g. /metrics",
        ),
        (
            "OTEL_OBS_CARDINALITY_LIMIT",
            "0",
            "is not a limit; expected a whole number of series, 1 or more",
        ),
    ],
)
def test_a_wrong_value_names_variable_value_and_expectation(variable: str, text: str, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_env({variable: text})
    assert str(caught.value) == f"{variable}={text!r} {message}"


@pytest.mark.filterwarnings("error")
def test_a_warning_of_a_pattern_that_is_raised_is_an_error_of_the_setting() -> None:
    with pytest.raises(SettingError, match="OTEL_OBS_EXCLUDED_URLS='/\\[\\[a]' is not a list"):
        Settings.from_env({"OTEL_OBS_EXCLUDED_URLS": "/[[a]"})


def test_a_token_is_never_shown() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_env({"OTEL_OBS_METRICS_TOKEN": "geheim mit leer"})
    assert str(caught.value) == (
        "OTEL_OBS_METRICS_TOKEN='…' is not a bearer token; expected visible ASCII characters without spaces"
    )
    assert "geheim" not in repr(Settings.from_env({"OTEL_OBS_METRICS_TOKEN": "geheim"}))


def test_a_misspelt_variable_is_a_warning_with_the_nearest_name() -> None:
    settings = Settings.from_env(
        {"OTEL_OBS_PROFIL": "classic", "OTEL_OBS_ZZZZZZZZZZZZZZZZ": "1", "OTEL_X": ""}
    )
    assert settings.warnings == (
        "OTEL_OBS_PROFIL is not a variable of otel_obs; did you mean OTEL_OBS_PROFILE?",
        "OTEL_OBS_ZZZZZZZZZZZZZZZZ is not a variable of otel_obs",
    )


def test_options_in_code_are_checked_like_variables() -> None:
    settings = Settings().with_options(
        labels={"status_code": "status"},
        buckets={"a_seconds": [0.1, 1], "b_seconds": (2,)},
        http_sizes=True,
        metrics_exporters=[],
        prometheus_port=9464,
        excluded_urls="/health",
    )
    assert settings == Settings(
        labels=(("status_code", "status"),),
        buckets=(("a_seconds", (0.1, 1.0)), ("b_seconds", (2.0,))),
        http_sizes=True,
        metrics_exporters=(),
        prometheus_port=9464,
        excluded_urls=("/health",),
    )
    assert settings.with_options(http_sizes=None, prometheus_port=None) == Settings(
        labels=settings.labels,
        buckets=settings.buckets,
        metrics_exporters=(),
        excluded_urls=("/health",),
    )
    with pytest.raises(SettingError, match=r"^profile='modern' is not known; expected classic or semconv$"):
        settings.with_options(profile="modern")
    with pytest.raises(TypeError, match=r"^'bucket' is not an option of otel_obs; did you mean 'buckets'\?$"):
        settings.with_options(bucket={})


def test_the_narrower_list_of_excluded_urls_wins() -> None:
    environ = {"OTEL_PYTHON_EXCLUDED_URLS": "all"}
    assert Settings.from_env(environ).excluded_urls_for("flask") == ("all",)
    environ["OTEL_PYTHON_FLASK_EXCLUDED_URLS"] = "flask"
    assert Settings.from_env(environ).excluded_urls_for("flask") == ("flask",)
    assert Settings.from_env(environ).excluded_urls_for("fastapi") == ("all",)
    environ["OTEL_OBS_EXCLUDED_URLS"] = "ours"
    assert Settings.from_env(environ).excluded_urls_for("flask") == ("ours",)


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    settings = Settings(metrics_token_file=str(file))
    with pytest.raises(SettingError) as caught:
        settings.read_metrics_token()
    assert str(caught.value) == (
        f"OTEL_OBS_METRICS_TOKEN_FILE={str(file)!r} cannot be read: No such file or directory; "
        "expected a file with a token"
    )
    file.write_text("\n")
    with pytest.raises(
        SettingError, match="holds no token; expected visible ASCII characters without spaces"
    ):
        settings.read_metrics_token()
    for wrong in ("two words", "g\u00e9heim"):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(SettingError, match="holds no token") as caught:
            settings.read_metrics_token()
        assert wrong not in str(caught.value)
    file.write_text("s3cret\n")
    assert settings.read_metrics_token() == "s3cret"
    assert Settings().read_metrics_token() == ""


def test_the_switches_that_turn_everything_off() -> None:
    assert not Settings.from_env({"OTEL_OBS_ENABLED": "0"}).is_on
    assert not Settings.from_env({"OTEL_SDK_DISABLED": "true"}).is_on


def test_every_variable_of_ours_is_an_option_of_the_wrapper() -> None:
    constants = {name: value for name, value in vars(environment_variables).items() if name.isupper()}
    ours = [row.variable for row in SETTINGS if row.variable.startswith(PREFIX)]
    assert constants == {name: name for name in ours}
    assert list(constants) == sorted(ours)


def test_every_row_has_a_sentence() -> None:
    assert [row.variable for row in SETTINGS if not row.doc.endswith(".")] == []


def test_the_list_of_one_framework_is_for_no_other() -> None:
    environ = {"OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "fastapi", "OTEL_PYTHON_FLASK_EXCLUDED_URLS": "flask"}
    settings = Settings.from_env(environ)
    assert [settings.excluded_urls_for(name) for name in ("fastapi", "flask", "")] == [
        ("fastapi",),
        ("flask",),
        (),
    ]


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999999999}", "(" * 5000 + ")" * 5000])
def test_a_pattern_that_cannot_be_compiled_is_an_error_of_its_variable(pattern: str) -> None:
    with pytest.raises(SettingError, match="OTEL_OBS_EXCLUDED_URLS"):
        Settings.from_env({"OTEL_OBS_EXCLUDED_URLS": pattern})


@pytest.mark.parametrize(
    ("parser", "accepted", "refused"),
    [
        (parsers.BOOL, ["true", "1", "Yes", "ON", "false", "0", "no", "off"], ["", "2", "y", "tru"]),
        (parsers.PORT, ["0", "65535"], ["65536", "-1", "1.0", "1e3", " ", "+1"]),
        (parsers.LIMIT, ["1", "1000000000000"], ["0", "-1", "inf"]),
        (parsers.INTERVAL, ["1"], ["0", "0.5"]),
        (parsers.CALLBACK_AGE, ["0", "5000"], ["5001", "-1"]),
        (parsers.SERVICE_ID, ["a", "0-._Z", "a" * 64], ["", "a" * 65, ".a", "-a", "_a", "a/b", "a\n", "ä"]),
        (
            parsers.HOST,
            ["127.0.0.1", "::", "unix:/m", "unix:/" + "a" * 106, "unix:/" + "ä" * 53],
            ["unix:", "unix:m", "unix:/m/", "unix:/a\0b", "unix:/" + "a" * 107, "unix:/" + "ä" * 54],
        ),
        (parsers.PATH, ["/", "/m", "/m/"], ["m", "", "/m?a", "/m#a", "/*", "/a b"]),
        (parsers.TOKEN, ["!", "~", "a1"], ["a b", "\x7f", "é", "a\n"]),
        (parsers.EXPORTERS, ["none", "otlp", "otlp-proto-http,console"], ["none,otlp", "otlp,a b", "otlp,1"]),
        (parsers.NAME, ["a", "a:b", "_a1"], ["1a", "a-b", "a.b", "é"]),
        (parsers.LABELS, ["a=b", "a=b, c=d"], ["a", "=b", "a=", "a=b,a=c", "a:b=c", "a=b=c"]),
        (parsers.FAMILIES, ["a:b=c"], ["a b=c", "a=1c"]),
        (
            parsers.BUCKETS,
            ["a=1", "a=-1,0,1e9", "a=1,+Inf", "a=1;b=2"],
            [
                "a",
                "a=",
                "a=+Inf",
                "a=1,1",
                "a=2,1",
                "a=1,nan",
                "a=-Inf,1",
                "1=1",
                "=1",
                "a=1,+Inf,+Inf",
                "a=1;a=2",
            ],
        ),
    ],
)
def test_what_lies_at_the_border_of_a_setting(
    parser: parsers.Parser[object], accepted: list[str], refused: list[str]
) -> None:
    def is_accepted(text: str) -> bool:
        try:
            parser.read(text)
        except ValueError:
            return False
        return True

    assert [text for text in accepted if not is_accepted(text)] == []
    assert [text for text in refused if is_accepted(text)] == []


def test_a_prefix_and_a_path_are_taken_without_what_separates_them() -> None:
    assert [parsers.NAME.read(text) for text in ("a_", "a__", "a_b")] == ["a", "a", "a_b"]
    assert [parsers.PATH.read(text) for text in ("/", "//", "/m/", "/a/b")] == ["/", "/", "/m", "/a/b"]
    assert parsers.BUCKETS.read("a=1,2,+Inf") == (("a", (1.0, 2.0)),)


@pytest.mark.parametrize(
    "text", ["http://localhost:16686/trace/{trace_id}", "https://t.example/explore?id={trace_id}&x=1#y"]
)
def test_the_address_of_a_trace_is_of_the_web(text: str) -> None:
    assert Settings.from_env({"OTEL_OBS_LIVE_TRACES": text}).live_traces == text


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:16686/trace/",
        "javascript:alert('{trace_id}')",
        "file:///tmp/{trace_id}",
        "//localhost/{trace_id}",
        "http://{trace_id}/",
        "http://t.example{trace_id}/",
        "http://t{x}/{trace_id}",
        "http://t/{trace_id}/{trace_id}",
        "http://t/{trace_id}{x}",
        "http://t/{trace_id}\n/",
    ],
)
def test_what_is_no_address_of_a_trace_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is no address of a trace; expected one such as"):
        Settings.from_env({"OTEL_OBS_LIVE_TRACES": text})
