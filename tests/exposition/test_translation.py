"""OTEL_OBS_TRANSLATION and the scraper's escaping together, by the specification's table and beyond it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exposition.schema import decode
from tests.support.processes import Service, tool
from tests.support.prometheus import PrometheusServer, prometheus_3
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
DEFAULT = "UnderscoreEscapingWithSuffixes"
ESCAPINGS = ("underscores", "allow-utf-8", "dots", "values")
TEXT = "text/plain;version=1.0.0"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    DEFAULT: (
        ("foo_bar_bytes_total", "user_id"),
        ("foo_bar_bytes_total", "user_id"),
        ("foo__bar__bytes__total", "user__id"),
        ("foo_bar_bytes_total", "user_id"),
    ),
    "UnderscoreEscapingWithoutSuffixes": (
        ("foo_bar", "user_id"),
        ("foo_bar", "user_id"),
        ("foo__bar", "user__id"),
        ("foo_bar", "user_id"),
    ),
    "NoUTF8EscapingWithSuffixes": (
        ("foo_bar_bytes_total", "user_id"),
        ("foo.bar_bytes_total", "user.id"),
        ("foo_dot_bar__bytes__total", "user_dot_id"),
        ("U__foo_2e_bar__bytes__total", "U__user_2e_id"),
    ),
    "NoTranslation": (
        ("foo_bar", "user_id"),
        ("foo.bar", "user.id"),
        ("foo_dot_bar", "user_dot_id"),
        ("U__foo_2e_bar", "U__user_2e_id"),
    ),
}
"""What becomes of the counter `foo.bar` in By and its attribute `user.id`, under each of ESCAPINGS."""

LABELS = {label for pairs in NAMES.values() for _, label in pairs}

COUNTER = '{__name__=~".*foo.*bar.*",__name__!~".*created"}'


def sample(name: str, label: str) -> str:
    """The line of the counter, whose value is 3."""
    return f'{{"{name}","{label}"="7"}} 3.0' if "." in name else f'{name}{{{label}="7"}} 3.0'


def service(translation: str, log_file: Path, *, profile: str = "classic") -> Service:
    return Service(
        *(tool("opentelemetry-instrument"), tool("gunicorn"), "-b", "127.0.0.1:{port}"),
        "tests.apps.dotted_flask:app",
        cwd=ROOT,
        env={"OTEL_OBS_TRANSLATION": translation, "OTEL_OBS_PROFILE": profile},
        log_file=log_file,
    )


@pytest.fixture(scope="module", params=NAMES)
def translated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Service]]:
    with service(request.param, tmp_path_factory.mktemp("service") / "log") as started:
        started.get("/health")
        yield request.param, started


@pytest.mark.parametrize("at", range(4), ids=ESCAPINGS)
@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS])
def test_texts_have_the_name_of_the_table(translated: tuple[str, Service], accept: str, at: int) -> None:
    translation, started = translated
    answer = started.get("/metrics", {"Accept": f"{accept};escaping={ESCAPINGS[at]}"})
    assert answer.headers["Content-Type"] == (
        f"{accept.replace(';', '; ')}; escaping={ESCAPINGS[at]}; charset=utf-8"
    )
    assert [line for line in answer.text.splitlines() if line.endswith('="7"} 3.0')] == [
        sample(*NAMES[translation][at])
    ]


@pytest.mark.parametrize("at", range(4), ids=ESCAPINGS)
def test_protobuf_has_the_name_of_the_table(translated: tuple[str, Service], at: int) -> None:
    translation, started = translated
    answer = started.get("/metrics", {"Accept": f"{PROTOBUF};escaping={ESCAPINGS[at]}"})
    found = [
        (family.name, metric.label[0].name)
        for family in decode(answer.body)
        for metric in family.metric
        if [label.value for label in metric.label] == ["7"]
    ]
    assert found == [NAMES[translation][at]]


def test_without_an_accept_header_names_are_classic(translated: tuple[str, Service]) -> None:
    translation, started = translated
    answer = started.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert sample(*NAMES[translation][0]) in answer.text.splitlines()


@pytest.mark.prometheus
def test_prometheus_3_stores_the_names_of_the_table(translated: tuple[str, Service], tmp_path: Path) -> None:
    translation, started = translated
    jobs = [
        {
            "job_name": f"{escaping} {protocol}",
            "metric_name_escaping_scheme": escaping,
            "scrape_protocols": [protocol],
            "static_configs": [{"targets": [f"127.0.0.1:{started.port}"]}],
        }
        for escaping in ESCAPINGS
        for protocol in ("PrometheusText1.0.0", "OpenMetricsText1.0.0", "PrometheusProto")
    ]
    config = {"global": {"scrape_interval": "300ms"}, "scrape_configs": jobs}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    server = PrometheusServer(
        prometheus_3(),
        *(
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
        ),
        cwd=tmp_path,
        log_file=tmp_path / "log",
        ready_path="/-/ready",
    )
    with server:
        until(lambda: len(server.query("up == 1")) == len(jobs), "jobs that are up")
        until(lambda: len(server.query(COUNTER)) == len(jobs), "the counter in every job")
        found = server.query(COUNTER)
    stored = {
        have["job"]: {name for name in have.items() if name[0] in ("__name__", *LABELS)} for have, _ in found
    }
    # Prometheus 3.13 asks for an escaping in texts only.
    asked = (pair for text in NAMES[translation] for pair in (text, text, NAMES[translation][0]))
    assert stored == {
        job["job_name"]: {("__name__", name), (label, "7")}
        for job, (name, label) in zip(jobs, asked, strict=True)
    }


def test_names_that_were_declared_for_prometheus_stay(translated: tuple[str, Service]) -> None:
    text = translated[1].get("/metrics", {"Accept": f"{TEXT};escaping=allow-utf-8"}).text
    assert 'books_sold_total{page_kind="glossy"} 2.0' in text.splitlines()
    for family in (
        "http_requests_total counter",
        "http_request_duration_seconds histogram",
        "otel_obs_worker_files_skipped_total counter",
        "otel_obs_scrape_duration_seconds histogram",
        "process_memory_bytes gauge",
    ):
        assert f"# TYPE {family}\n" in text, family


def test_the_conventions_names_are_untranslated_where_that_is_asked_for(tmp_path: Path) -> None:
    with service("NoTranslation", tmp_path / "log", profile="semconv") as started:
        started.get("/health")
        text = started.get("/metrics", {"Accept": f"{TEXT};escaping=allow-utf-8"}).text
    assert "# TYPE python_gc_collections_total counter\n" in text  # the conventions have no such name
    assert (
        '{"http.server.request.duration_count","http.request.method"="GET","http.response.status_code"="200",'
        '"http.route"="/health","network.protocol.version"="1.1","url.scheme"="http"}'
    ) in text


def test_a_wrong_strategy_is_one_clear_line_and_the_service_serves(tmp_path: Path) -> None:
    with service("UnderscoreEscaping", tmp_path / "log") as started:
        assert started.get("/health").text == "ok"
        said = [line for line in started.log.splitlines() if "OTEL_OBS_TRANSLATION" in line]
    assert len(said) == 1
    assert said[0].endswith(
        "OTEL_OBS_TRANSLATION='UnderscoreEscaping' is not known; expected UnderscoreEscapingWithSuffixes, "
        "UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes or NoTranslation; "
        "this process runs without metrics"
    )
