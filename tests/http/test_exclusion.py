"""Which requests are not measured."""

from __future__ import annotations

from typing import Any

import pytest

from otel_obs.http import exclusion
from otel_obs.http.exclusion import Exclusion


def never() -> str:
    raise AssertionError("the URL is not needed")


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        ([], "/health", False),
        ([""], "/health", False),
        (["health"], "/a/healthz", True),
        (["^/health$"], "/health", True),
        (["^/health$"], "/healthz", False),
        (["client/.*/info", "ping"], "/client/7/info", True),
        (["client/.*/info", "ping"], "/ping", True),
        (["client/.*/info", "ping"], "/client", False),
    ],
)
def test_expressions_are_searched_for_in_the_path(patterns: list[str], path: str, expected: bool) -> None:
    assert Exclusion(patterns).covers({}, path, never) is expected


def test_an_expression_with_a_scheme_is_searched_for_in_the_url() -> None:
    excluded = Exclusion(["https?://internal/"])
    assert excluded.covers({}, "/x", lambda: "http://internal/x")
    assert not excluded.covers({}, "/x", lambda: "http://outside/x")


def test_a_function_is_asked_about_the_request() -> None:
    asked: list[Any] = []
    excluded = Exclusion(matches=lambda carrier: bool(asked.append(carrier)) or carrier["path"] == "/x")  # type: ignore[func-returns-value]
    assert excluded.covers({"path": "/x"}, "/x", never)
    assert not excluded.covers({"path": "/y"}, "/y", never)
    assert asked == [{"path": "/x"}, {"path": "/y"}]


def test_it_is_true_only_if_it_can_exclude_something() -> None:
    assert [bool(Exclusion(*given)) for given in ([], [("",)], [("a",)], [(), print])] == [
        False,
        False,
        True,
        True,
    ]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusion, "REMEMBERED", 10)
    excluded = Exclusion(["7$"])
    assert sum(excluded.covers({}, f"/{number}", never) for number in range(100)) == 10
    assert len(excluded._verdicts) <= 10


@pytest.mark.parametrize(
    ("patterns", "excluded", "counted"),
    [
        (["/health", "(?i)/internal"], "/INTERNAL", "/HEALTH"),
        (["(?P<id>a)/x", "(?P<id>b)/y"], "b/y", "b/x"),
        (["(a)x", r"(b)\1"], "bb", "ba"),
        (["^/a|/b", "c$"], "/c", "/cd"),
        (["(?x) /a b", "/c d"], "/c d", "/cd"),
    ],
)
def test_expressions_do_not_reach_into_each_other(patterns: list[str], excluded: str, counted: str) -> None:
    assert Exclusion(patterns).covers({}, excluded, never)
    assert not Exclusion(patterns).covers({}, counted, never)
