"""The pages of the runbooks: each query is one, of names that there are, and each link leads somewhere."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from otel_obs.ops.promql import names_in, row_of
from otel_obs.ops.recording_rules import RED
from tests.docs.story import broken_links
from tests.ops.promtools import promtools

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs" / "runbooks").glob("*.md"))
OTHERS = {
    "up",
    "ALERTS",
    "scrape_duration_seconds",
    "otel_obs_workers",
    "otel_obs_dropped_measurements_total",
}


def queries(page: Path) -> list[str]:
    return re.findall(r"```promql\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_links_that_lead_somewhere_and_queries_of_names_that_exist(page: Path) -> None:
    assert broken_links(page) == []
    recorded = {name for name, _ in RED}
    for name in (name for query in queries(page) for name in names_in(query)):
        is_known = row_of(name)[0] is not None or name in OTHERS | recorded
        assert is_known or name.startswith(("job:slo_", "otelcol_")), name


@pytest.mark.parametrize("promtool", promtools())
def test_promtool_reads_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"q{number}", "expr": query}
        for number, query in enumerate(query for page in PAGES for query in queries(page))
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "pages", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(rules)} rules found" in done.stdout


@pytest.mark.parametrize(
    "page", sorted((PAGES[0].parents[1] / "operations").glob("*.md")), ids=lambda page: page.stem
)
def test_pages_on_operations_have_links_that_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []
