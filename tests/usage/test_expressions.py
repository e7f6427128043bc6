"""What an expression needs, by the grammar of PromQL, with Grafana's variables in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from otel_obs.usage.expressions import NotPromqlError, Selector, _without_variables, selectors_of

PROMTOOL = shutil.which("promtool")

ROOT = Path(__file__).parents[2]


def selector(name: str, needs: str = "", groups: str = "", bounds: str = "", **values: str) -> Selector:
    pairs = tuple(sorted(values.items()))
    return Selector(
        name, frozenset(needs.split()), frozenset(groups.split()), frozenset(bounds.split()), pairs
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a", [selector("a")]),
        ('sum by (x) (rate(a{b="1"}[5m]))', [selector("a", "b", "x", b="1")]),
        ("sum without (x) (a)", [selector("a")]),
        ("a / on (x) group_left (y) b", [selector("a", groups="x"), selector("b", groups="x")]),
        ("a * ignoring (x) b", [selector("a"), selector("b")]),
        ('a{b=""} or a{b!=""}', [selector("a"), selector("a", "b")]),
        ('a{b=~".*",c=~".+",d!~"x",e!~"x|"}', [selector("a", "c e")]),
        ('{__name__="a",b="1"}', [selector("a", "b", b="1")]),
        ('{"a.b", c="1"}', [selector("a.b", "c", c="1")]),
        ('{__name__=~"a.*"}', [selector("")]),
        ('a_bucket{le="0.5"}', [selector("a_bucket", "le", bounds="0.5", le="0.5")]),
        (
            "histogram_quantile(0.9, sum by (le) (rate(a_bucket[$__rate_interval])))",
            [selector("a_bucket", groups="le")],
        ),
        (
            'rate(a{job=~"$job",x="${y:regex}"}[$__range]) > $limit',
            [selector("a", "job x"), selector("")],
        ),
        ('sum by (made) (label_replace(a, "made", "$1", "from", "(.*)"))', [selector("a")]),
        ("max_over_time(rate(a[5m])[1h:$__interval] offset 1d)", [selector("a")]),
        ('count({job="x"})', [selector("", "job", job="x")]),
        ("sum(a) by (x) unless on (z) absent(b)", [selector("a", groups="x z"), selector("b", groups="z")]),
        ("# of all\nsum(a) # and b", [selector("a")]),
    ],
)
def test_selectors(expression: str, expected: list[Selector]) -> None:
    assert selectors_of(expression) == expected


@pytest.mark.parametrize("expression", ["", "sum(", "a{b}", "rate(a)", 'a{b="}'])
def test_what_is_no_promql_is_refused(expression: str) -> None:
    with pytest.raises(NotPromqlError):
        selectors_of(expression)


@pytest.mark.skipif(PROMTOOL is None, reason="Debian's prometheus is not installed")
@pytest.mark.parametrize(
    "expression",
    [
        *("a", "sum(", "a{b}", "rate(a)", "sum by (x) (rate(a[5m]))", "a / on (x) group_left (y) b", "by"),
        *("a offset 5m", "1 + 2", "topk(3, a)", "rate(a[5m:1m])", "a or b unless c", "-a ^ 2", 'a{b=~"("}'),
        *("sum", "a[5m]", "vector(1)", "a @ end()"),
    ],
)
def test_what_is_promql_is_what_promtool_takes(expression: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    lines = ["groups:", "- name: a", "  rules:", "  - record: x", "    expr: >-", f"      {expression}"]
    rules.write_text("\n".join(lines) + "\n")
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(rules)], capture_output=True)

    try:
        selectors_of(expression)
    except NotPromqlError:
        assert done.returncode != 0
    else:
        assert done.returncode == 0, done.stderr


def test_a_variable_in_a_string_stays() -> None:
    assert _without_variables('a{b="$x"}[$__interval]') == 'a{b="$x"}[5m]'
