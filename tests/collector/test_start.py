"""What `collector/start` says before it starts anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.collector import DIRECTORY, find, needs_collector, variables
from tests.support.processes import clean_env

CONFIGURATIONS = ("otelcol.yaml", "agent.yaml", "gateway.yaml")
GATEWAY = {
    "GATEWAY_URL": "http://gateway:4318",
    "GATEWAY_USER": "agent",
    "GATEWAY_PASSWORD": "choose",
}
TOOLS = ("bash", "cat", "dirname", "env", "grep", "sed", "sort")
VARIABLE = re.compile(r"\$\{env:([A-Z0-9_]+)(:-[^}]*)?\}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The files as somebody copies them to a machine: without this repository, without a collector."""
    return Path(shutil.copytree(DIRECTORY, tmp_path / "collector", ignore=shutil.ignore_patterns(".env")))


def start(directory: Path, config: str, env: Mapping[str, str]) -> tuple[int, list[str]]:
    """The status and the lines with which the start ends."""
    tools = directory.parent / "tools"
    tools.mkdir(exist_ok=True)
    for name in TOOLS:
        if not (tools / name).exists():
            (tools / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        [directory / "start", config],
        env={"PATH": str(tools), **env},
        capture_output=True,
        text=True,
        timeout=240,
    )
    return done.returncode, done.stderr.splitlines()


ALL_MISSING = """\
collector: GC_OTLP_URL is not set; its value is at: \
grafana.com > your stack > OpenTelemetry > Configure: "OTLP Endpoint"
collector: GC_OTLP_USER is not set; its value is at: \
grafana.com > your stack > OpenTelemetry > Configure: "Instance ID", another one than GC_PROM_USER
collector: GC_PROM_URL is not set; its value is at: \
grafana.com > your stack > Prometheus > Details: "Remote Write Endpoint"
collector: GC_PROM_USER is not set; its value is at: \
grafana.com > your stack > Prometheus > Details: "Username / Instance ID"
collector: GC_TOKEN is not set; its value is at: \
grafana.com > your stack > Security > Access Policies: a token with metrics:write and traces:write
collector: set them in the environment, or in {directory}/.env, of which env.example is a copy to fill in
"""


def test_names_every_variable_that_is_not_set_and_where_its_value_is(directory: Path) -> None:
    expected = ALL_MISSING.format(directory=directory).splitlines()
    assert start(directory, "otelcol.yaml", {}) == (2, expected)


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        ("agent.yaml", ["GATEWAY_PASSWORD", "GATEWAY_URL", "GATEWAY_USER"]),
        (
            "gateway.yaml",
            [
                "GATEWAY_PASSWORD",
                "GATEWAY_USER",
                "GC_OTLP_URL",
                "GC_OTLP_USER",
                "GC_PROM_URL",
                "GC_PROM_USER",
                "GC_TOKEN",
            ],
        ),
    ],
)
def test_asks_only_for_what_the_configuration_needs(directory: Path, config: str, missing: list[str]) -> None:
    status, lines = start(directory, config, {})
    assert status == 2
    assert [line.split()[1] for line in lines[:-1]] == missing


@pytest.mark.parametrize("name", sorted(variables()))
def test_one_variable_that_is_not_set_is_enough(directory: Path, name: str) -> None:
    status, lines = start(directory, "otelcol.yaml", {**variables(), name: ""})
    assert status == 2
    assert [line.split()[1:5] for line in lines[:-1]] == [[name, "is", "not", "set;"]]


def test_a_url_of_another_form_is_named_with_its_value(directory: Path) -> None:
    env = {**variables(), "GC_PROM_URL": "https://prometheus-prod-01.grafana.net"}
    status, lines = start(directory, "otelcol.yaml", env)
    assert status == 2
    assert lines[0] == (
        "collector: GC_PROM_URL=https://prometheus-prod-01.grafana.net does not look right; "
        'expected the value at: grafana.com > your stack > Prometheus > Details: "Remote Write Endpoint"'
    )


def test_a_token_is_never_shown(directory: Path) -> None:
    status, lines = start(directory, "otelcol.yaml", {**variables(), "GC_TOKEN": "glc_one glc_two"})
    assert status == 2
    assert lines[0].startswith("collector: GC_TOKEN has a space in it; expected it as it is shown, at: ")
    assert not any("glc_" in line for line in lines)


def test_an_env_file_is_read_and_the_environment_wins(directory: Path) -> None:
    (directory / ".env").write_text("# a comment\nGC_TOKEN=from-the-file\nGC_PROM_URL=nonsense\n")
    env = {name: value for name, value in variables().items() if name != "GC_TOKEN"}
    status, lines = start(directory, "otelcol.yaml", env)
    assert (status, len(lines)) == (3, 1)
    assert lines[0] == (
        "collector: no collector was found; build it with: make collector, "
        "or install otelcol-contrib 0.154 to 0.158"
    )


def test_the_example_as_it_is_lacks_what_only_its_user_knows(directory: Path) -> None:
    shutil.copy(directory / "env.example", directory / ".env")
    status, lines = start(directory, "gateway.yaml", {})
    assert status == 2
    missing = ["GATEWAY_PASSWORD", "GC_OTLP_USER", "GC_PROM_USER", "GC_TOKEN"]
    assert [line.split()[1] for line in lines[:-1]] == missing


def test_the_example_has_every_variable_with_its_default() -> None:
    example = dict(
        line.split("=", 1)
        for line in (DIRECTORY / "env.example").read_text().splitlines()
        if re.match(r"[A-Z]", line)
    )
    used: dict[str, str] = {}
    for config in ("gateway.yaml", "agent.yaml", "otelcol.yaml"):
        used |= dict(VARIABLE.findall((DIRECTORY / config).read_text()))
    assert set(example) == set(used)
    for name, default in used.items():
        assert not default or example[name] == default.removeprefix(":-")


def test_alloy_has_the_same_variables_and_no_loose_ends() -> None:
    alloy = (DIRECTORY / "config.alloy").read_text()
    example = re.findall(r"^([A-Z_]+)=", (DIRECTORY / "env.example").read_text(), re.MULTILINE)
    assert set(re.findall(r'sys\.env\("(\w+)"\)', alloy)) <= set(example)

    declared = {".".join(parts) for parts in re.findall(r'^([a-z_.]+) "(\w+)" {$', alloy, re.MULTILINE)}
    referred = set(re.findall(r"\b((?:otelcol|prometheus)\.[a-z_.]+)\.(?:input|receiver|handler)\b", alloy))
    assert len(declared) == 8
    assert referred == declared - {"prometheus.scrape.apps", "otelcol.receiver.otlp.services"}


@needs_collector
@pytest.mark.parametrize("config", CONFIGURATIONS)
def test_the_collector_finds_every_configuration_valid(config: str) -> None:
    done = subprocess.run(
        [str(find("collector")), "validate", f"--config=file:{DIRECTORY / config}"],
        env=clean_env({**variables(), **GATEWAY}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


@needs_collector
def test_a_configuration_for_another_version_says_for_which_it_is(directory: Path) -> None:
    text = (directory / "otelcol.yaml").read_text()
    (directory / "later.yaml").write_text(text.replace("send_metadata:", "a_later_key:"))
    status, lines = start(
        directory, str(directory / "later.yaml"), {**variables(), "OTELCOL": str(find("collector"))}
    )
    assert status == 2
    assert lines[-1].startswith(f"collector: {directory}/later.yaml is not valid for ")
    assert lines[-1].endswith("; it is for 0.154 to 0.158")
