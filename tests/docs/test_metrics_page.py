"""docs/metrics.md names what a service really exposes, under both profiles."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.story import ROOT
from tests.support.processes import Service, tool
from tests.support.systems import label_names

PAGE = (ROOT / "docs" / "metrics.md").read_text()
COMMAND = (
    tool("opentelemetry-instrument"),
    *(tool("gunicorn"), "-w", "2", "-b", "127.0.0.1:{port}", "tests.docs.everything:app"),
)


def documented(profile: str) -> dict[str, tuple[str, ...]]:
    """The families on the page, with their labels."""
    found: dict[str, tuple[str, ...]] = {}
    for section in PAGE.split("\n### ")[1:]:
        classic = re.match(r"`([^`]+)`", section)
        semconv = re.search(r"^- semconv profile: `([^`]+)`", section, re.MULTILINE)
        chosen = semconv if profile == "semconv" and semconv is not None else classic
        assert chosen is not None
        family, _, labels = chosen[1].rstrip("}").partition("{")
        found[family] = found[re.sub("_(count|sum)$", "", family)] = tuple(filter(None, labels.split(",")))
    itself = re.findall(r"^\| `([a-z_]+)(?:\{([a-z_]+)\})?` \|", PAGE, re.MULTILINE)
    return {**found, **{family: (label,) if label else () for family, label in itself}}


@pytest.mark.parametrize("profile", ["classic", "semconv"])
def test_everything_that_is_exposed_is_documented_with_its_labels(tmp_path: Path, profile: str) -> None:
    env = {"OTEL_OBS_PROFILE": profile, "OTEL_OBS_HTTP_SIZES": "true"}
    with Service(*COMMAND, cwd=ROOT, env=env, log_file=tmp_path / "log") as service:
        service.get("/items/1")
        shown = label_names(service.scrape())

    page = documented(profile)
    shown.pop("target_info")
    assert {family for family in shown if family not in page} == set()
    missing = {family: set(page[family]) - names for family, names in shown.items()}
    extra = {family: names - set(page[family]) for family, names in shown.items()}
    assert {family: names for family, names in extra.items() if names} == {}
    optional = {"error_type", "http_route", "network_protocol_version", "gen_ai_request_model"}
    assert {family: names for family, names in missing.items() if names - optional} == {}
    assert len(shown) > 60 if profile == "classic" else len(shown) > 50
