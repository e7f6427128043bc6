"""A text stays a text, whoever reads the YAML."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_obs.ops.yaml_text import NOTE, yaml_text


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "No", "on", "y", "N", "true", "null", "~", "", "=", "<<", " a", "a ", "a: b", "# a", "- a"),
        *(
            "1",
            "-1",
            "+1",
            "1.5",
            ".5",
            "1.",
            "1e3",
            "1E3",
            "-1e-3",
            "+.5e3",
            "1_000",
            "0o17",
            "0x1F",
            "0b11",
        ),
        *("017", "1:30", ".inf", "-.Inf", ".nan", "2026-11-27", "2026-1-2", "2026-11-27T02:40:11Z"),
    ],
)
def test_what_looks_like_something_else_is_quoted(text: str) -> None:
    made = yaml_text({"a": text, f"key {text}": text, text: 1}).removeprefix(NOTE)

    assert made.splitlines()[0] in (f"a: '{text}'", f'a: "{text}"')
    assert yaml.safe_load(made) == {"a": text, f"key {text}": text, text: 1}


@pytest.mark.parametrize("text", ["yes", "1e3", "0o17", "y"])
def test_a_key_is_quoted_as_well(text: str) -> None:
    assert yaml_text({text: 1}) == f"{NOTE}'{text}': 1\n"


@pytest.mark.parametrize(
    "text", ["15s", "10GB", "localhost:9093", "127.0.0.1:9090", "v1", "1.4.0", "e3", "no-way"]
)
def test_what_does_not_is_left_as_it_reads_best(text: str) -> None:
    assert yaml_text({"a": text}) == f"{NOTE}a: {text}\n"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text())
@example(text="\x85")
@example(text="a\n\x85")
@example(text="\u2028")
def test_every_text_is_read_again(text: str) -> None:
    assert yaml.safe_load(yaml_text({"a": [text]})) == {"a": [text]}
