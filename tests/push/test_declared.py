"""`OTEL_CONFIG_FILE`: what a file says of metrics and the resource holds; a bad one is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.programs import Finished, run

PROGRAM = """
import json
from opentelemetry import metrics, trace
import otel_obs
pipeline = otel_obs.configure()
counter = metrics.get_meter("m").create_counter("sold")
for kind in "ab":
    counter.add(1, {"kind": kind, "color": "red"})
text = otel_obs.get_metrics()[0].decode()
print(json.dumps([line for line in text.splitlines() if line.startswith(("sales", "sold", "target_info{"))]))
print(json.dumps([pipeline is not None, type(trace.get_tracer_provider()).__name__]), flush=True)
"""

WHOLE = """
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: shop}
    - {name: zone, value: "${ZONE}"}
meter_provider:
  exemplar_filter: always_off
  readers:
    - pull:
        exporter:
          prometheus/development:
            scope_info_enabled: true
            translation_strategy: underscore_escaping_without_suffixes/development
    - periodic:
        interval: 60000
        timeout: 300
        cardinality_limits: {default: 500, counter: 5}
        exporter: {console: {temporality_preference: delta}}
  views:
    - selector: {instrument_name: sold}
      stream: {name: sales, attribute_keys: {included: [kind], excluded: [color]}}
tracer_provider:
  processors:
    - batch: {exporter: {console: }}
"""


EVERY = """
file_format: "1.0"
meter_provider: {readers: [{periodic: {interval: MS, exporter: {console: }}}]}
"""


def program(path: Path, text: str, **env: str) -> Finished:
    path.write_text(text)
    return run(PROGRAM, env={"OTEL_CONFIG_FILE": str(path), **env}, timeout_s=240)


def test_a_file_says_readers_views_exposition_and_resource(tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    done = program(path, WHOLE, ZONE="north", OTEL_SERVICE_NAME="other", OTEL_METRICS_EXPORTER="none")
    lines = json.loads(done.lines[0])
    assert lines[1:] == [
        'sales{kind="a",otel_scope_name="m"} 1.0',
        'sales{kind="b",otel_scope_name="m"} 1.0',
    ]
    assert 'service_name="shop"' in lines[0]
    assert 'zone="north"' in lines[0]
    assert json.loads(done.lines[1]) == [True, "TracerProvider"]
    pushed = json.loads("\n".join(done.lines[2:]))
    shared = {
        metric["name"]: metric["data"]["aggregation_temporality"]
        for scope in pushed["resource_metrics"][0]["scope_metrics"]
        for metric in scope["metrics"]
        if scope["scope"]["name"] == "m"
    }
    assert shared == {"sales": 1}  # delta
    said = [line for line in done.log.splitlines() if "is not supported" in line]
    assert said == [
        f"OTEL_CONFIG_FILE='{path}': meter_provider.{key} is not supported, and has no effect"
        for key in (
            "readers[1].periodic.timeout",
            "readers[1].periodic.cardinality_limits.counter",
            "views[0].stream.attribute_keys.excluded",
        )
    ]


def test_a_file_that_is_silent_of_metrics_leaves_them_to_the_variables(tmp_path: Path) -> None:
    done = program(tmp_path / "otel.yaml", 'file_format: "1.0"\n')
    assert [line.partition("{")[0] for line in json.loads(done.lines[0])] == ["target_info"] + [
        "sold_total"
    ] * 2


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a: [", ["Failed to parse YAML"]),
        ('file_format: "1.0"\n\tresource: 3\n', ["Failed to parse YAML", "line 2, column 1"]),
        (
            "!!python/object/apply:os.getpid []\n",
            ["Failed to parse YAML", "could not determine a constructor"],
        ),
        ("", ["Configuration file is empty"]),
        ("[]\n", ["must be a mapping"]),
        ("meter_provider: {readers: []}\n", ["'file_format' is a required property"]),
        (
            (
                'file_format: "1.0"\n'
                "meter_provider: {readers: [{pull: {exporter: {prometheus/development: {port: 99999}}}}]}\n"
            ),
            ["prometheus_port='99999' is not a port; expected a number from 0 to 65535"],
        ),
        ('file_format: "9.0"\n', ["Unsupported file_format '9.0'"]),
        (
            (
                'file_format: "1.0"\n'
                "meter_provider: {readers: [{periodic: {interval: often, exporter: {console: }}}]}\n"
            ),
            ["'often' is not of type", "meter_provider -> readers -> 0 -> periodic -> interval"],
        ),
        *(
            (
                EVERY.replace("MS", str(interval)),
                [f"readers[0].periodic.interval={interval} is not an interval", "31536000000, a year"],
            )
            for interval in (0, 10**30)
        ),
        (
            (
                'file_format: "1.0"\n'
                "resource: {attributes: [{name: a, value: b}, {name: price, value: dear, type: double}]}\n"
            ),
            ["resource.attributes: 'price': could not convert string to float: 'dear'"],
        ),
        (
            'file_format: "1.0"\nmeter_provider: {readers: 5}\n',
            ["5 is not of type", "meter_provider -> readers"],
        ),
    ],
)
def test_a_bad_file_is_one_line_with_its_key_and_the_service_runs(
    text: str, parts: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "otel.yaml"
    done = program(path, text)
    assert json.loads(done.lines[0]) == []
    assert json.loads(done.lines[1])[0] is False
    beginning = f"OTEL_CONFIG_FILE='{path}' cannot be used: "
    lines = [line for line in done.log.splitlines() if line.startswith(beginning)]
    assert len(lines) == 1
    assert done.log.rstrip().endswith("; this process runs without metrics")
    assert all(part in lines[0] for part in parts), done.log
    assert "Traceback" not in done.log


STRANGE = """
file_format: "1.0"
metre_provider: {}
meter_provider:
  readers:
    - pull: {exporter: {prometheus: {}}}
"""


TWO_PAGES = """
file_format: "1.0"
log_level: debug
distribution: {otel_obs: {}}
meter_provider:
  readers:
    - periodic: {exporter: {console: }}
    - pull: {exporter: {prometheus/development: {}}}
    - pull: {exporter: {prometheus/development: {port: 9465}}}
"""


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (STRANGE, ("metre_provider", "meter_provider.readers[0].pull.exporter.prometheus")),
        (TWO_PAGES, ("distribution", "log_level", "meter_provider.readers[2].pull")),
    ],
)
def test_what_the_schema_lets_pass_and_nobody_reads_is_named(
    text: str, keys: tuple[str, ...], tmp_path: Path
) -> None:
    done = program(tmp_path / "otel.yaml", text)
    assert [line for line in done.log.splitlines() if "not supported" in line] == [
        f"OTEL_CONFIG_FILE='{tmp_path / 'otel.yaml'}': {key} is not supported, and has no effect"
        for key in keys
    ]


@pytest.mark.parametrize(
    ("exporter", "remedy"),
    [
        ("consol", "did you mean console?"),
        ("statsd", "install its package"),
        ("otlp_file/development", "pip install opentelemetry-exporter-otlp-json-file"),
    ],
)
def test_an_exporter_that_is_not_installed_is_said_at_once_and_the_page_is_served(
    exporter: str, remedy: str, tmp_path: Path
) -> None:
    text = (
        'file_format: "1.0"\nmeter_provider: {readers: [{pull: {exporter: {prometheus/development: }}}, '
        f"{{periodic: {{exporter: {{{exporter}: {{}}}}}}}}]}}\n"
    )
    done = program(tmp_path / "otel.yaml", text)
    key = f"meter_provider.readers[1].periodic.exporter.{exporter.replace('/', '_')}"
    assert done.log.splitlines() == [
        (
            f"OTEL_CONFIG_FILE='{tmp_path / 'otel.yaml'}': {key} names an exporter that is not installed; "
            f"{remedy}; metrics are not pushed there, all else goes on"
        )
    ]
    assert json.loads(done.lines[1])[0] is True


def test_what_the_package_says_of_the_resource_is_said_once(tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    done = program(path, 'file_format: "1.0"\nresource: {attributes: [{name: n, value: null}]}\n')
    assert done.log.splitlines() == [
        f"OTEL_CONFIG_FILE='{path}': Ignoring resource attribute 'n' with empty value"
    ]


@pytest.mark.parametrize("kind", ["a directory", "no regular file"])
def test_what_is_no_file_is_not_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    path.mkdir() if kind == "a directory" else os.mkfifo(path)  # nobody writes to the pipe
    done = run(PROGRAM, env={"OTEL_CONFIG_FILE": str(path)}, timeout_s=240)
    assert done.log.splitlines() == [
        (
            f"OTEL_CONFIG_FILE='{path}' cannot be used: it is {kind}; name a file of YAML or JSON; "
            "this process runs without metrics"
        )
    ]


DEFAULTS = """
file_format: "1.0"
resource:
  attributes:
    - {name: service.name, value: "${NAME:-a shop}"}
    - {name: cost, value: "$${NAME}"}
    - {name: zone, value: "${ZONE}"}
"""


def test_variables_in_a_file_are_replaced_with_their_defaults(tmp_path: Path) -> None:
    done = program(tmp_path / "otel.yaml", DEFAULTS, ZONE="north")
    assert 'service_name="a shop"' in done.lines[0].replace("\\", "")
    assert 'cost="${NAME}"' in done.lines[0].replace("\\", "")
    assert 'zone="north"' in done.lines[0].replace("\\", "")


def test_a_file_that_is_not_there_and_a_disabled_one(tmp_path: Path) -> None:
    done = run(PROGRAM, env={"OTEL_CONFIG_FILE": "/nowhere.yaml"}, timeout_s=240)
    assert "OTEL_CONFIG_FILE='/nowhere.yaml' cannot be used: Configuration file not found" in done.log
    assert json.loads(done.lines[1])[0] is False
    done = program(tmp_path / "otel.yaml", 'file_format: "1.0"\ndisabled: true\n')
    assert (json.loads(done.lines[1])[0], done.log) == (False, "")
