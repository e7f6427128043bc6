"""The bytes of a worker's file: what is written is read, and what is damaged is noticed."""

from __future__ import annotations

import math
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_obs.cells import layout
from otel_obs.cells.attributes import canonical, decode_attributes, encode_attributes
from otel_obs.cells.layout import (
    Damage,
    ExemplarsRecord,
    FileRecord,
    FoldedRecord,
    Header,
    Kind,
    RemovedRecord,
    Scope,
    SeriesRecord,
    Stream,
    StreamRecord,
    pack_commit,
    pack_header,
    pack_record,
    read_records,
    unpack_commit,
    unpack_header,
)

HEADER = Header(4711, 1700000000.25, bytes(range(16)), 24 << 20, 40 << 20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    texts | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary(max_size=8) | st.none()
)
attributes = st.dictionaries(texts, scalars | st.lists(scalars, max_size=3), max_size=4)
offsets = st.integers(0, 2**64 - 1)
times = st.floats(allow_nan=False, allow_infinity=False)
streams = st.builds(
    Stream,
    kind=st.sampled_from([Kind.COUNTER, Kind.UPDOWN, Kind.GAUGE, Kind.HISTOGRAM]),
    name=texts,
    unit=texts,
    description=texts,
    scope=st.builds(Scope, texts, st.none() | texts, st.none() | texts, st.builds(canonical, attributes)),
    bounds=st.sets(st.floats(allow_nan=False, allow_infinity=False), max_size=4).map(sorted).map(tuple),
    merge=st.sampled_from(["latest", "sum", "worst:2,0,1"]),
    part=st.integers(0, 3),
)
records: st.SearchStrategy[FileRecord] = st.one_of(
    st.builds(StreamRecord, streams, st.integers(1, 10**6)),
    st.builds(SeriesRecord, st.integers(0, 2**32 - 1), offsets, times, st.binary(max_size=40)),
    st.builds(RemovedRecord, offsets),
    st.builds(ExemplarsRecord, offsets, offsets),
    st.builds(FoldedRecord, st.binary(min_size=16, max_size=16), times),
)


def read(index: bytes) -> tuple[list[FileRecord], str]:
    damage = Damage()
    return list(read_records(index, damage)), damage.reason


@given(st.lists(records, max_size=8))
def test_records_are_read_as_they_were_written(written: list[FileRecord]) -> None:
    assert read(b"".join(map(pack_record, written))) == (written, "")


@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_an_index_that_is_cut_gives_the_records_before_the_cut(written: list[FileRecord], data: Any) -> None:
    packed = [pack_record(record) for record in written]
    index = b"".join(packed)
    length = data.draw(st.integers(0, len(index) - 1))
    whole, end = 0, 0
    while end + len(packed[whole]) <= length:
        end += len(packed[whole])
        whole += 1
    found, reason = read(index[:length])
    # A record whose padding alone is cut is whole.
    assert found[:whole] == written[:whole]
    assert found == written[: len(found)]
    assert len(found) - whole <= 1
    assert bool(reason) == (len(found) == whole and end < length)


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_ends_the_index_before_its_record(written: list[FileRecord], data: Any) -> None:
    index = bytearray(b"".join(map(pack_record, written)))
    bit = data.draw(st.integers(0, len(index) * 8 - 1))
    index[bit // 8] ^= 1 << bit % 8
    found, reason = read(bytes(index))
    assert found == written[: len(found)]
    # Only the padding may be flipped unnoticed.
    assert reason or found == written


@given(st.binary(max_size=200))
def test_random_bytes_are_no_records_and_no_error(data: bytes) -> None:
    read(data)


@given(st.sampled_from([b"i", b"s", b"d", b"f", b"e", b"?"]), st.binary(max_size=60))
def test_nonsense_with_a_right_checksum_is_damage_at_worst(tag: bytes, body: bytes) -> None:
    payload = tag + body
    framed = layout._RECORD.pack(len(payload), zlib.crc32(payload)) + payload
    read(framed + bytes(-len(framed) % 8))


def test_a_header_is_read_as_it_was_written() -> None:
    assert unpack_header(pack_header(HEADER)) == HEADER
    assert HEADER.cells_at == 4096 + (24 << 20)


def test_every_flipped_bit_of_a_header_is_noticed() -> None:
    packed = pack_header(HEADER)
    for bit in range(len(packed) * 8):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        assert unpack_header(bytes(damaged)) is None


def test_every_cut_of_a_header_is_noticed() -> None:
    packed = pack_header(HEADER)
    assert [unpack_header(packed[:length]) for length in range(len(packed))] == [None] * len(packed)


def test_another_version_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "VERSION", layout.VERSION + 1)
    packed = pack_header(HEADER)
    monkeypatch.undo()
    assert unpack_header(packed) is None


@given(st.integers(0, 2**40 - 1), st.integers(0, 63))
def test_every_flipped_bit_of_a_commit_word_is_noticed(length: int, bit: int) -> None:
    assert unpack_commit(pack_commit(length)) == length
    assert unpack_commit(pack_commit(length) ^ 1 << bit) is None


def test_the_word_of_a_store_that_was_left_is_no_length() -> None:
    assert unpack_commit(layout.MOVED) is None


@given(attributes)
def test_attributes_are_read_as_they_were_written(given_: dict[str, Any]) -> None:
    frozen = canonical(given_)
    again = decode_attributes(encode_attributes(frozen))
    assert encode_attributes(again) == encode_attributes(frozen)
    assert [key for key, _ in frozen] == sorted(given_)


@given(attributes)
def test_the_order_of_attributes_does_not_matter(given_: dict[str, Any]) -> None:
    other_way = dict(reversed(given_.items()))
    assert encode_attributes(canonical(given_)) == encode_attributes(canonical(other_way))


def test_values_that_python_calls_equal_are_not_the_same() -> None:
    values = [1, 1.0, True, "1", b"1", "true", None, "null", [1], ["1"], 0, False, 0.0]
    assert len({encode_attributes(canonical({"key": value})) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("stream", "cells", "slots", "initial"),
    [
        (Stream(Kind.COUNTER, "c"), 1, 1, (0.0,)),
        (Stream(Kind.UPDOWN, "u"), 1, 0, (0.0,)),
        (Stream(Kind.GAUGE, "g"), 2, 0, (0.0, 0.0)),
        (
            Stream(Kind.HISTOGRAM, "h", bounds=(1.0, 2.0)),
            6,
            3,
            (0.0, 0.0, 0.0, 0.0, math.inf, -math.inf),
        ),
    ],
)
def test_the_cells_of_each_kind(stream: Stream, cells: int, slots: int, initial: tuple[float, ...]) -> None:
    assert (stream.cells, stream.exemplar_slots, stream.initial_cells) == (cells, slots, initial)
