"""The end of a file: the same lines as of the whole, and never more than a bounded part of it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_obs.reading import last_lines as reading
from otel_obs.reading.last_lines import last_lines, last_lines_of


@given(st.lists(st.text("ab ", max_size=9), max_size=40), st.integers(1, 50), st.booleans())
def test_it_is_the_end_of_all_lines(lines: list[str], count: int, is_ended: bool) -> None:
    text = "\n".join(lines) + ("\n" if is_ended else "")

    found = last_lines_of(io.BytesIO(text.encode()), count)

    assert found == text.splitlines()[-count:]


def test_a_file_of_a_terabyte_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"\none\r\ntwo\n")

    assert last_lines(path, 2) == ["one", "two"]


def test_a_line_without_an_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MOST_BYTES", 100)
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000 + b"\nend\n")

    first, last = last_lines(path, 5)

    assert (len(first), last) == (95, "end")
