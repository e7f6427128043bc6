"""Words that cannot be meant: one line that names the thing, the value and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_obs.cli import main


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "generate needs to know what the service has; give --from URL or --groups"),
        (
            ["--from", "localhost:1", "--groups", "http"],
            "generate got both --from and --groups; give one of them",
        ),
        (
            ["--groups", "http", "--limit", "HighErrorRate=0.2", "--limit", "HighErrorRate=0.3"],
            "--limit 'HighErrorRate' is there twice; give it once",
        ),
        (
            ["--groups", "http", "--limit", "HighErrorRate=much"],
            "--limit HighErrorRate=much is no number; write it as HighErrorRate=0.02",
        ),
        (["--groups", "http", "--limit", "much"], "--limit 'much' is no pair; write it as key=value"),
        (
            ["--groups", "http", "--external-label", "a=1", "--external-label", "a=2"],
            "--external-label 'a' is there twice; give it once",
        ),
        (
            ["--groups", "http", "--target", "h:1", "--target", "h:1"],
            "target 'h:1' is there twice; give it once",
        ),
        (
            ["--groups", "http", "--interval", "1d"],
            (
                "interval '1d' is too long: rates are over 5 minutes, and Prometheus forgets a sample "
                "after 5; give one of at most 120 s"
            ),
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["generate", "prometheus", "--out", str(tmp_path / "out"), *options])

    assert (code, capsys.readouterr().err) == (2, f"otel-obs: {message}\n")
    assert not (tmp_path / "out").exists()
