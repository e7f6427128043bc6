"""A token's file or a certificate that is replaced is used from then on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_obs.errors import SettingError
from otel_obs.serving.guards import Watched
from otel_obs.settings import Settings


def replaced(path: Path, text: str) -> None:
    """Put another file in the place of *path*, as secrets are rotated."""
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    token = Watched([str(file)], Settings(metrics_token_file=str(file)).read_metrics_token)
    assert token() == "first"
    replaced(file, "second\n")
    assert token() == "second"
    for broken in ("", "not one token"):
        replaced(file, broken)
        assert [token(), token()] == ["second", "second"]
    file.unlink()
    assert token() == "second"
    assert len(caplog.messages) == 1
    assert "holds no token" in caplog.messages[0]
    replaced(file, "third")
    assert token() == "third"


def test_a_file_that_is_not_there_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        Watched(["/none"], Settings(metrics_token_file=str(tmp_path / "none")).read_metrics_token)


@pytest.mark.parametrize(
    "variable",
    [
        "OTEL_OBS_METRICS_TOKEN",
        "OTEL_OBS_METRICS_TOKEN_FILE",
        "OTEL_OBS_METRICS_TLS_CERTIFICATE",
        "OTEL_OBS_METRICS_TLS_KEY",
    ],
)
@pytest.mark.parametrize("text", ["", "  "])
def test_what_guards_a_page_is_not_unset_by_being_empty(variable: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"{variable}=''"):
        Settings.from_env({variable: text})
    field = variable.removeprefix("OTEL_OBS_").lower()
    with pytest.raises(SettingError, match=field):
        Settings().with_options(**{field: text})
    assert Settings().with_options(**{field: None}) == Settings()


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ("metrics_tls_certificate", "OTEL_OBS_METRICS_TLS_KEY"),
        ("metrics_tls_key", "OTEL_OBS_METRICS_TLS_CERTIFICATE"),
    ],
)
def test_one_file_of_tls_alone_is_no_plain_port(given: str, missing: str) -> None:
    with pytest.raises(SettingError, match=missing):
        _ = Settings().with_options(**{given: "/a/file"}).tls_files
    assert Settings().tls_files is None


def test_the_applications_port_serves_where_there_is_no_other() -> None:
    assert Settings().serves_on_app
    assert not Settings(prometheus_port=9464).serves_on_app
    assert Settings(prometheus_port=9464, metrics_on_both=True).serves_on_app
