"""Work in pieces, so that other threads have their turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otel_obs.host.pace import pieces


@given(count=st.integers(0, 500), at_once=st.integers(1, 200))
def test_pieces_have_each_of_so_many_once_and_none_beyond(count: int, at_once: int) -> None:
    more = range(count + 2 * at_once)
    assert [each for piece in pieces(count, at_once) for each in more[piece]] == list(range(count))
