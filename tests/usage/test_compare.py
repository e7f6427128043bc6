"""Changes between two pages, who breaks by them, and what series cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from otel_obs.errors import OperationsError, UnreadableError
from otel_obs.reading.text import read_page
from otel_obs.usage.budget import MINUTES_A_MONTH, Saving, SeriesPrice, parse_price, savings, shares
from otel_obs.usage.compare import Break, Change, breaks, changes
from otel_obs.usage.exposed import exposed_by
from otel_obs.usage.users import Used, User, panels_in, read_users, rules_in, used
from tests.cli.test_command import otel_obs

OLD = """\
# TYPE gone gauge
gone 1
# TYPE hits_total counter
hits_total{path="/",code="200"} 1
# TYPE kind gauge
kind 1
# TYPE took_seconds histogram
took_seconds_bucket{path="/",le="0.1"} 1
took_seconds_bucket{path="/",le="0.5"} 1
took_seconds_bucket{path="/",le="+Inf"} 1
took_seconds_sum{path="/"} 1
took_seconds_count{path="/"} 1
"""
NEW = """\
# TYPE hits_total counter
hits_total{route="/",code="200"} 1
# TYPE kind counter
kind 1
# TYPE took_seconds histogram
took_seconds_bucket{path="/",le="0.1"} 1
took_seconds_bucket{path="/",le="1"} 1
took_seconds_bucket{path="/",le="+Inf"} 1
took_seconds_sum{path="/"} 1
took_seconds_count{path="/"} 1
# TYPE fresh gauge
fresh 1
"""


def test_every_difference_is_told() -> None:
    found = changes(exposed_by(read_page(OLD.encode())), exposed_by(read_page(NEW.encode())))

    assert found == [
        Change("family", "new", "fresh"),
        Change("family", "gone", "gone"),
        Change("label", "gone", "hits_total", "path"),
        Change("label", "new", "hits_total", "route"),
        Change("type", "changed", "kind", "gauge becomes counter"),
        Change("bound", "gone", "took_seconds", "0.5"),
        Change("bound", "new", "took_seconds", "1"),
    ]
    assert changes(exposed_by(read_page(OLD.encode())), exposed_by(read_page(OLD.encode()))) == []


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("gone", ["gone is gone"]),
        ("rate(hits_total[5m])", []),
        ('hits_total{code="200"}', []),
        ('hits_total{path="/"}', ["hits_total has no label path any more"]),
        ('hits_total{path!="/"}', []),
        ("sum by (path) (hits_total)", ["hits_total has no label path any more"]),
        ("kind", ["kind was a gauge and is a counter"]),
        ('took_seconds_bucket{le="0.5"}', ['took_seconds_bucket has no bound le="0.5" any more']),
        ('took_seconds_bucket{le="0.1"}', []),
        ("sum by (le) (took_seconds_bucket)", []),
        ("never_there", []),
    ],
)  # fmt: skip
def test_who_breaks(expression: str, why: list[str]) -> None:
    old, new = exposed_by(read_page(OLD.encode())), exposed_by(read_page(NEW.encode()))

    assert breaks(old, new, [used(User("a", expression))]) == [Break("a", expression, each) for each in why]


def test_rules_are_found_in_files_of_prometheus_and_of_its_operator() -> None:
    groups = [{"name": "g", "rules": [{"record": "x:y", "expr": "a"}, {"alert": "B", "expr": 1}]}]
    expected = [User("f: record x:y", "a", "x:y"), User("f: alert B", "1")]

    assert list(rules_in([{"groups": groups}], "f")) == expected
    assert list(rules_in([{"kind": "PrometheusRule", "spec": {"groups": groups}}, None, []], "f")) == expected
    assert list(rules_in([{"scrape_configs": []}], "f")) == []


def test_panels_at_any_depth_and_variables_are_found() -> None:
    board = {
        "title": "Board",
        "panels": [{"title": "Row", "panels": [{"title": "Rate", "targets": [{"expr": "rate(a[5m])"}]}]}],
        "templating": {"list": [
            {"name": "v", "query": 'label_values(b{x=~"$y"}, z)'},
            {"name": "w", "query": {"query": "query_result(c)"}},
            {"name": "u", "query": "label_values(job)"},
        ]},
    }  # fmt: skip

    assert [(user.where, user.expression) for user in panels_in(board, "f")] == [
        ("f: Rate", "rate(a[5m])"),
        ("f: v", 'group by (z) (b{x=~"$y"})'),
        ("f: w", "c"),
    ]


def test_the_projects_own_rules_and_dashboards_are_read_whole() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    users = read_users([deploy / "prometheus"], [deploy / "grafana"])

    assert len(users) > 100
    assert [each for each in users if each.problem] == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("a.yml", "a: [", "is no YAML"), ("a.json", "{", "is no JSON"), ("b.json", "[" * 100_000, "is no JSON")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableError, match=said):
        read_users(*([tmp_path / name], []) if name.endswith("yml") else ([], [tmp_path / name]))
    with pytest.raises(UnreadableError, match="is no file"):
        read_users([tmp_path / "none"], [])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yml", "spec: text\n"),
        ("a.yml", "spec: {groups: 3}\n"),
        ("a.yml", "groups: [{rules: 5}, 6, {rules: [7]}]\n"),
        ("a.yml", "- a\n---\nb\n"),
        ("a.yml", ""),
        ("a.json", '{"panels": [{"targets": [{"expr": 5}]}]}'),
        ("a.json", "[]"),
    ],
)
def test_a_file_that_was_named_and_has_nothing_is_said_and_one_in_a_directory_is_not(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(UnreadableError, match=r"holds no .*; give the file or the directory that does"):
        read_users(*([tmp_path / name], []) if name.endswith("yml") else ([], [tmp_path / name]))
    (tmp_path / "rule.yml").write_text("\ufeffgroups: [{rules: [{record: a, expr: up}]}]\n", encoding="utf-8")
    (tmp_path / "board.json").write_text('\ufeff{"title": "b", "expr": "up"}', encoding="utf-8")
    assert [each.user.expression for each in read_users([tmp_path], [tmp_path])] == ["up", "up"]


def test_diff_as_a_command(tmp_path: Path) -> None:
    old, new, rules = tmp_path / "old.prom", tmp_path / "new.prom", tmp_path / "r.yml"
    old.write_text(OLD)
    new.write_text(NEW)
    rules.write_text("groups: [{name: g, rules: [{record: x, expr: gone}, {alert: C, expr: 'sum('}]}]")

    done = otel_obs("diff", str(old), str(new), "--rules", str(rules))

    assert done.returncode == 1, done.stderr
    assert "- gone\n" in done.stdout
    assert "~ kind type gauge becomes counter\n" in done.stdout
    assert f"! {rules}: record x: gone is gone\n" in done.stdout
    assert f"? {rules}: alert C: is no PromQL" in done.stdout
    assert json.loads(otel_obs("diff", str(old), str(new), "--json").stdout)["changes"][1]["how"] == "gone"
    same = otel_obs("diff", str(old), str(old))
    assert (same.returncode, same.stdout) == (0, "nothing changed\n")
    assert otel_obs("diff", str(old), str(rules)).returncode == 2


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("8 per 1000 series", SeriesPrice(8, 1000, "series")),
        ("0.9/10M samples", SeriesPrice(0.9, 10_000_000, "samples")),
        ("1 per 2,000 series", SeriesPrice(1, 2000, "series")),
        ("0.01 per series", SeriesPrice(0.01, 1, "series")),
    ],
)
def test_prices(text: str, price: SeriesPrice) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize(
    "text", ["", "8", "8 per 0 series", "-8 per 10 series", "x per 1 series", "8 per 1 banana"]
)
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(OperationsError, match="is no price"):
        parse_price(text)


def test_samples_are_paid_by_the_interval() -> None:
    assert SeriesPrice(1, 1000, "series").of(2000, 15) == 2
    assert SeriesPrice(1, 1_000_000, "samples").of(100, 30) == pytest.approx(200 * MINUTES_A_MONTH / 1e6)


def test_what_would_save_how_many_series() -> None:
    hits = "".join(f'hits_total{{path="/{n}",code="{c}"}} 1\n' for n in range(10) for c in (200, 500))
    bounds = ("0.1", "0.2", "0.4", "+Inf")
    took = "".join(f'took_bucket{{le="{bound}"}} 1\n' for bound in bounds) + "took_sum 1\ntook_count 1\n"
    page = read_page(f"# TYPE hits_total counter\n{hits}# TYPE took histogram\n{took}".encode())

    assert [(each.family, each.series, each.labels) for each in shares(page)] == [
        ("hits_total", 20, {"path": 10, "code": 2}),
        ("took", 6, {"le": 4}),
    ]
    assert savings(page) == [
        Saving("hits_total", "drop the family", 20),
        Saving("hits_total", "leave out the label path", 18),
        Saving("hits_total", "leave out the label code", 10),
        Saving("took", "drop the family", 6),
        Saving("took", "keep only its sum and count", 4),
        Saving("took", "keep every second bound", 1),
    ]


def test_budget_as_a_command(tmp_path: Path) -> None:
    page = tmp_path / "page.prom"
    page.write_text(OLD)

    done = otel_obs("budget", str(page), "--price", "8 per 4 series", "--instances", "2", "--json")

    found = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert found["total"] == {"series": 16, "samples_per_minute": 64.0, "cost_per_month": 32.0}
    shown = otel_obs("budget", str(page), "--price", "8 per 4 series").stdout
    assert "took_seconds" in shown
    assert "all: 8 series, 32 samples per minute, 16.00 cost per month" in shown
    assert otel_obs("budget", str(page), "--price", "much").returncode == 2


def test_what_is_parsed_with_a_problem_is_kept() -> None:
    assert used(User("a", "sum(")) == Used(User("a", "sum("), (), used(User("a", "sum(")).problem)
    assert used(User("a", "sum(")).problem
