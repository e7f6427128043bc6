"""Clouds: the collector beside the application is valid, and the application's port shows no metrics."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_obs.ops.clouds import KEPT
from otel_obs.ops.promql import row_of
from tests.collector.roads import shop, use
from tests.ops.promtools import found
from tests.support.ports import free_port
from tests.support.processes import Service
from tests.support.programs import ROOT
from tests.support.waiting import until

CLOUDS = found("collector", "--clouds")
DEPLOY = ROOT / "deploy"
needs_clouds = pytest.mark.skipif(CLOUDS is None, reason="scripts/collector --clouds builds it")
NOT_HERE = {
    "awsxray": {"region": "eu-central-1"},
    "resource_detection": {"detectors": ["gcp"], "timeout": "10s"},
}
"""What the collector of the tests does not have, and all that the configurations say of it.

The module of awsxray is not published, and the processor imports the libraries of every cloud.
"""
ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT": "my-project", "AWS_REGION": "eu-central-1"}


def loaded(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text().replace("${env:AWS_REGION}", ENVIRONMENT["AWS_REGION"]))


def without_what_is_not_here(path: str) -> Any:
    """A configuration with the debug exporter in place of what the collector of the tests does not have."""
    config = loaded(path)
    for kind, stand_in in (("processors", []), ("exporters", ["debug"])):
        for name in NOT_HERE.keys() & config[kind].keys():
            assert config[kind].pop(name) == NOT_HERE[name]
            for pipeline in config["service"]["pipelines"].values():
                if name in pipeline[kind]:
                    pipeline[kind] = [each for each in pipeline[kind] if each != name] + stand_in
    config["exporters"]["debug"] = {}
    return config


def collector(command: str, config: Any, directory: Path) -> list[str]:
    file = directory / "collector.yaml"
    file.write_text(yaml.safe_dump(config))
    return [str(CLOUDS), *command.split(), f"--config={file}"]


def refused(config: Any, directory: Path) -> str:
    """What a real collector says against a configuration; nothing where all is well."""
    env = {**os.environ, **ENVIRONMENT}
    command = collector("validate", config, directory)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)
    assert bool(done.stderr) == bool(done.returncode)
    return done.stderr


@needs_clouds
@pytest.mark.parametrize(
    ("path", "exporter", "field", "place"),
    [
        ("cloudrun/collector.yaml", "googlecloud", "metric", "exporters"),
        ("ecs/collector.yaml", "awsemf", "metric_declarations", "exporters"),
        ("ecs/collector.yaml", "cumulative_to_delta", "initial_value", "processors"),
    ],
)
def test_the_collector_of_a_cloud_is_valid_and_a_misspelt_one_is_not(
    path: str, exporter: str, field: str, place: str, tmp_path: Path
) -> None:
    config = without_what_is_not_here(path)
    assert refused(config, tmp_path) == ""

    part = config[place][exporter]
    part[f"{field}s"] = part.pop(field)
    assert f"invalid keys: {field}s" in refused(config, tmp_path)


ROUTES = ("/predict/<name>", "/fail")
COUNTER, HISTOGRAM = "http_requests_total", "http_request_duration_seconds"


def counted(events: list[dict[str, Any]]) -> float:
    """All requests: CloudWatch adds up what it gets."""
    return sum(float(event[COUNTER]) for event in events if COUNTER in event and event["endpoint"] in ROUTES)


def observed(events: list[dict[str, Any]]) -> float:
    """All requests whose duration is there."""
    return sum(
        float(event[HISTOGRAM]["Count"])
        for event in events
        if HISTOGRAM in event and event["endpoint"] in ROUTES
    )


def emitted(log: str) -> list[dict[str, Any]]:
    """The events of metrics, as CloudWatch takes them from a log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith('{"')]
    return [line for line in lines if "_aws" in line]


@needs_clouds
def test_cloudwatch_gets_what_was_counted_since_the_scrape_before(tmp_path: Path) -> None:
    """The service has the names of the example that the committed configuration is for."""
    log = tmp_path / "collector.log"
    with shop(tmp_path, {}, workers=2) as service:
        config = without_what_is_not_here("ecs/collector.yaml")
        (scrape,) = config["receivers"]["prometheus"]["config"]["scrape_configs"]
        scrape |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
        scrape["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
        config["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": f"127.0.0.1:{free_port()}"}}
        config["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{free_port()}"
        config["service"]["telemetry"] = {"metrics": {"level": "none"}}
        config["processors"]["batch"]["timeout"] = "200ms"
        config["exporters"]["awsemf"]["output_destination"] = "stdout"
        use(service, 10)
        command = collector("", config, tmp_path)
        with Service(*command, env=ENVIRONMENT, log_file=log, ready_path=None):
            for batch in range(1, 4):

                def all_are_there(sent: int = 11 * batch) -> bool:
                    events = emitted(log.read_text())
                    return (counted(events), observed(events)) == (sent, sent)

                until(all_are_there, f"the requests of batch {batch}", 120)
                if batch < 3:
                    use(service, 10)
    (directive,) = {
        (each["Namespace"], metric["Name"], metric["Unit"])
        for event in emitted(log.read_text())
        for each in event["_aws"]["CloudWatchMetrics"]
        for metric in each["Metrics"]
        if metric["Name"] == COUNTER
    }
    assert directive == ("ReviewLens", COUNTER, "Count")
    assert not [event for event in emitted(log.read_text()) if "otel_obs_workers" in event]


def faults_of(task: Any) -> str:
    """What the cloud's own model of a task's registration has against it; it is strict."""
    models, checks = (importlib.import_module(f"botocore.{name}") for name in ("session", "validate"))
    shape = (
        models.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
    )
    return str(checks.ParamValidator().validate(task, shape).generate_report())


def test_a_task_has_only_fields_that_the_cloud_knows() -> None:
    task = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())

    assert faults_of(task) == ""
    task["containerDefinitions"][0]["portMaping"] = task["containerDefinitions"][0].pop("portMappings")
    task["cpu"] = 512
    assert 'Unknown parameter in containerDefinitions[0]: "portMaping"' in faults_of(task)
    assert "Invalid type for parameter cpu" in faults_of(task)


def test_metrics_of_a_task_are_on_a_port_that_the_world_does_not_reach() -> None:
    task = json.loads((DEPLOY / "ecs" / "task-definition.json").read_text())
    app, collector = task["containerDefinitions"]
    environment = {each["name"]: each["value"] for each in app["environment"]}
    run = loaded("cloudrun/service.yaml")["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in run[0]["env"]}

    for known in (environment, variables):
        assert (known["OTEL_EXPORTER_PROMETHEUS_HOST"], known["OTEL_EXPORTER_PROMETHEUS_PORT"]) == (
            "127.0.0.1",
            "9464",
        )
    assert [port["containerPort"] for port in app["portMappings"]] == [8000]
    assert "ports" not in run[1]
    assert app["user"] == "65532:65532"
    assert app["readonlyRootFilesystem"] is True
    assert collector["secrets"][0]["name"] in collector["command"][0]
    for path in ("ecs/collector.yaml", "cloudrun/collector.yaml"):
        (scraped,) = loaded(path)["receivers"]["prometheus"]["config"]["scrape_configs"]
        assert scraped["static_configs"] == [{"targets": ["127.0.0.1:9464"]}]


def test_what_a_cloud_keeps_is_in_the_catalog() -> None:
    assert [family for family in KEPT if row_of(family)[0] is None] == []
