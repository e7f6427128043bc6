"""Clouds: the collector beside the application is valid, and the application's port shows no metrics."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from otel_obs.ops.clouds import KEPT
from otel_obs.ops.promql import row_of
from tests.ops.promtools import found
from tests.support.programs import ROOT

CLOUDS = found("collector", "--clouds")
DEPLOY = ROOT / "deploy"
EMF_FIELDS = {
    *("region", "endpoint", "role_arn", "max_retries", "namespace", "log_group_name", "log_stream_name"),
    *("log_retention", "tags", "dimension_rollup_option", "resource_to_telemetry_conversion", "version"),
    *("output_destination", "parse_json_encoded_attr_values", "metric_declarations", "metric_descriptors"),
    *("detailed_metrics", "retain_initial_value_of_delta_metric", "eks_fargate_container_insights_enabled"),
}
"""Source: config.schema.yaml of the contributors' awsemfexporter, whose modules cannot be built here."""


def loaded(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


@pytest.mark.skipif(CLOUDS is None, reason="scripts/collector --clouds builds it")
def test_the_collector_of_cloud_run_is_valid_and_a_misspelt_one_is_not(tmp_path: Path) -> None:
    def validate(text: str) -> int:
        file = tmp_path / "collector.yaml"
        file.write_text(text)
        env = {**os.environ, "GOOGLE_CLOUD_PROJECT": "my-project"}
        command = [str(CLOUDS), "validate", f"--config={file}"]
        return subprocess.run(command, capture_output=True, timeout=60, env=env).returncode

    text = (DEPLOY / "cloudrun" / "collector.yaml").read_text()
    assert validate(text) == 0
    assert validate(text.replace("prefix:", "prefixes:")) != 0


def test_the_collector_of_ecs_has_only_fields_that_its_exporter_knows() -> None:
    config = loaded("ecs/collector.yaml")
    emf = config["exporters"]["awsemf"]

    assert set(emf) <= EMF_FIELDS
    for each in emf["metric_declarations"]:
        assert set(each) <= {"dimensions", "label_matchers", "metric_name_selectors"}
    for each in emf["metric_descriptors"]:
        assert set(each) <= {"metric_name", "unit", "overwrite"}
    assert emf["namespace"] == "ReviewLens"
    units = {each["metric_name"]: each["unit"] for each in emf["metric_descriptors"]}
    assert units["http_requests_total"] == "Count"
    for pipeline in config["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= set(config[kind])


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
