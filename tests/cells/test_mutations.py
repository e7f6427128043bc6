"""Files that nobody wrote so, by the thousand: whatever they say, the others' numbers are as they are."""

from __future__ import annotations

import math
import os
import random
import struct
import time
import zlib

import pytest

from otel_obs.cells.layout import (
    COMMIT_AT,
    HEADER_BYTES,
    EndedRecord,
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
)
from otel_obs.exposition import Options, negotiate, render
from otel_obs.rundir.directory import lock
from tests.cells.conftest import Fleet, record
from tests.support.long import wants_full_length

TRUE = Stream(Kind.COUNTER, "true_orders", scope=Scope("shop"))
FORMATS = [
    negotiate(accept)
    for accept in (
        "",
        "application/openmetrics-text; version=1.0.0",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    )
]
INDEX_BYTES = CELLS_BYTES = 1 << 16
MUTATIONS = 60_000 if wants_full_length() else 400

_RECORDS: list[FileRecord] = [
    StreamRecord(Stream(Kind.COUNTER, "orders", "1", "Orders", Scope("shop", "1.0"))),
    SeriesRecord(0, 0, 5.0, b'[["country","NO"],["n",5]]'),
    StreamRecord(Stream(Kind.HISTOGRAM, "latency", "s", bounds=(0.1, 1.0))),
    SeriesRecord(1, 8, 5.0, b"[]"),
    ExemplarsRecord(8, 4000),
    StreamRecord(Stream(Kind.GAUGE, "level", merge="worst:2,0,1")),
    SeriesRecord(2, 32, 5.0, b'[["b",{"b":"AAA="}]]'),
    StreamRecord(Stream(Kind.GAUGE, "latest")),
    SeriesRecord(3, 36, 5.0, b'[["list",["a",1.5,true,null]]]'),
    EndedRecord(3, 1.0, b'[["list","other"]]'),
    StreamRecord(Stream(Kind.EXPONENTIAL, "spread", bounds=(20.0, 20.0))),
    SeriesRecord(4, 64, 5.0, b"[]"),
    StreamRecord(Stream(Kind.GAUGE, "rate", merge="share:orders,true_orders")),
    SeriesRecord(5, 200, 5.0, b"[]"),
    SeriesRecord(0, 1, 6.0, b'[["country","SE"]]'),
    RemovedRecord(1),
    FoldedRecord(bytes(range(16)), 5.0),
]
_ODD_NUMBERS = [0, 1, 7, 8, 255, 4096, 2**16, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1]
_ODD_FLOATS = [0.0, -0.0, -1.0, 0.5, 1e16, 1e300, -1e300, math.inf, -math.inf, math.nan, 5e-324, 2.0**63]
_ODD_TEXTS = [
    b"[",
    b"]",
    b"{}",
    b'"',
    b"null",
    b"1e999",
    b"\xff",
    b"\\ud800",
    b"NaN",
    b"-1",
    b"\n",
    b"[" * 99,
]


class Mutator:
    """Makes files that are right but for something."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def file(self, worker: bytes) -> bytes:
        chance = self._chance
        payloads = [_payload(pack_record(each)) for each in _RECORDS]
        cells = [float(chance.randrange(9)) for _ in range(CELLS_BYTES // 8)]
        for _ in range(chance.randrange(1, 4)):
            chance.choice((self._bytes, self._insert, self._order, self._cells))(payloads, cells)
        index = b"".join(map(_framed, payloads))
        data = bytearray(HEADER_BYTES)
        header = pack_header(Header(1, time.time(), worker, INDEX_BYTES, CELLS_BYTES))
        data[: len(header)] = header
        length = len(index) if chance.random() < 0.9 else chance.choice(_ODD_NUMBERS) & (2**40 - 1)
        data[COMMIT_AT : COMMIT_AT + 8] = pack_commit(length).to_bytes(8, "little")
        whole = bytes(data) + index.ljust(INDEX_BYTES, b"\0") + struct.pack(f"<{len(cells)}d", *cells)
        return whole if chance.random() < 0.95 else whole[: chance.randrange(len(whole))]

    def _bytes(self, payloads: list[bytes], cells: list[float]) -> None:
        at = self._chance.randrange(len(payloads))
        payload = bytearray(payloads[at])
        for _ in range(self._chance.randrange(1, 6)):
            payload[self._chance.randrange(len(payload))] = self._chance.randrange(256)
        payloads[at] = bytes(payload)

    def _insert(self, payloads: list[bytes], cells: list[float]) -> None:
        at = self._chance.randrange(len(payloads))
        payload = payloads[at]
        place = self._chance.randrange(1, len(payload) + 1)
        odd = self._chance.choice([*_ODD_TEXTS, self._chance.choice(_ODD_NUMBERS).to_bytes(8, "little"), b""])
        payloads[at] = payload[:place] + odd + payload[place + self._chance.choice((0, len(odd), 9)) :]

    def _order(self, payloads: list[bytes], cells: list[float]) -> None:
        at = self._chance.randrange(len(payloads))
        payload = payloads.pop(at)
        for _ in range(self._chance.randrange(3)):
            payloads.insert(self._chance.randrange(len(payloads) + 1), payload)

    def _cells(self, payloads: list[bytes], cells: list[float]) -> None:
        for _ in range(self._chance.randrange(1, 40)):
            cells[self._chance.randrange(256)] = self._chance.choice(_ODD_FLOATS)


def _payload(packed: bytes) -> bytes:
    return packed[8 : 8 + int.from_bytes(packed[:4], "little")]


def _framed(payload: bytes) -> bytes:
    framed = struct.pack("<II", len(payload), zlib.crc32(payload)) + payload
    return framed + bytes(-len(framed) % 8)


@pytest.fixture
def true_fleet(fleet: Fleet) -> Fleet:
    record(fleet.worker(), TRUE, [42.0], zone="eu")
    return fleet


@pytest.mark.parametrize("is_alive", [True, False])
def test_mutated_files_cost_nobody_elses_numbers(is_alive: bool, true_fleet: Fleet) -> None:
    mutator = Mutator(5)
    started_s, slowest_s, bad = time.monotonic(), 0.0, []
    for number in range(MUTATIONS // 2):
        worker = (1000 + number).to_bytes(16, "big")
        name = f"{worker.hex()}.cells"
        made = true_fleet.run_dir.open(f"{name}.made", os.O_CREAT | os.O_RDWR)
        os.write(made.number, mutator.file(worker))
        if is_alive:
            lock(made.number, exclusive=True)
        true_fleet.run_dir.rename(f"{name}.made", name)
        begun_s = time.monotonic()
        try:
            snapshot = true_fleet.snapshot()
            found = [
                value
                for column in snapshot.columns
                if column.table.stream == TRUE
                for attributes, value in zip(column.table.attributes, column.values, strict=True)
                if attributes == (("zone", "eu"),)
            ]
            if found != [42.0]:
                bad.append((number, f"{found}"))
            for syntax in FORMATS:
                body = b"".join(render(snapshot, syntax, Options()))
                if b"true_orders" not in body:
                    bad.append((number, f"not in {syntax.media_type}"))
        except Exception as error:
            bad.append((number, repr(error)))
        slowest_s = max(slowest_s, time.monotonic() - begun_s)
        made.close()
        true_fleet.run_dir.unlink(name)
    assert bad == []
    assert slowest_s < 0.1 * (time.monotonic() - started_s) + 1.0
