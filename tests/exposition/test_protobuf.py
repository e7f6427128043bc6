"""The hand-written encoder, read back by protobuf itself."""

from __future__ import annotations

import math

import pytest
from google.protobuf import text_format
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from otel_obs.cells.attributes import canonical
from otel_obs.cells.layout import Kind
from otel_obs.cells.snapshot import Exemplar, ExponentialValue
from otel_obs.exposition import PROTOBUF, Format, Options
from otel_obs.exposition.protobuf import signed, timestamp, unsigned, varint
from tests.exposition.build import (
    CREATED_S,
    SPAN_ID,
    TRACE_ID,
    column,
    counter,
    exemplar,
    exponential,
    gauge,
    histogram,
    rendered,
)
from tests.exposition.schema import decode


def printed(columns: object, options: Options | None = None) -> str:
    """All families as protobuf prints them, one field a line."""
    body = rendered(columns, PROTOBUF, options or Options())  # type: ignore[arg-type]
    return "".join(text_format.MessageToString(family, as_utf8=True) for family in decode(body))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"), (-1, b"\xff" * 9 + b"\x01")],
)
def test_a_varint(value: int, expected: bytes) -> None:
    assert varint(value) == expected


def test_fields_of_integers() -> None:
    assert unsigned(1, 5000) == b"\x08\x88\x27"
    assert [signed(5, value) for value in (0, -1, 1, -4)] == [
        b"\x28\x00",
        b"\x28\x01",
        b"\x28\x02",
        b"\x28\x07",
    ]


@given(st.floats(1e-9, 2e9))
@example(math.nextafter(2.0, 0.0))
@example(0.9999999999)
@example(1700000000.25)
def test_a_time_is_a_whole_second_and_less_than_a_thousand_million_nanoseconds(unix_s: float) -> None:
    read = Timestamp.FromString(timestamp(1, unix_s)[2:])
    assert read.seconds == math.floor(unix_s)
    assert 0 <= read.nanos <= 999_999_999
    assert abs(read.seconds + read.nanos / 1e9 - unix_s) <= max(1e-9, math.ulp(unix_s))


def test_nothing_is_nothing() -> None:
    assert rendered([], PROTOBUF) == b""
    assert rendered(counter("c", []), PROTOBUF) == b""


def test_a_counter() -> None:
    one = exemplar(0, 1.0, 1700000002.25, user="u")
    sent = counter("sent", [({"to": 'a"b\nü'}, 5.0)], unit="By", description="Sent", exemplars={0: [one]})
    assert (
        printed(sent)
        == f"""\
name: "sent_bytes_total"
help: "Sent"
type: COUNTER
metric {{
  label {{
    name: "to"
    value: "a\\"b\\nü"
  }}
  counter {{
    value: 5.0
    exemplar {{
      label {{
        name: "trace_id"
        value: "{TRACE_ID}"
      }}
      label {{
        name: "span_id"
        value: "{SPAN_ID}"
      }}
      label {{
        name: "user"
        value: "u"
      }}
      value: 1.0
      timestamp {{
        seconds: 1700000002
        nanos: 250000000
      }}
    }}
    created_timestamp {{
      seconds: 1700000000
      nanos: 500000000
    }}
  }}
}}
unit: "bytes"
"""
    )


def test_gauges() -> None:
    columns = [
        column(Kind.UPDOWN, "u", [({}, -2.0)], created_s=CREATED_S - 1),
        gauge("g", [({"a": "1"}, math.nan), ({"a": "2"}, math.inf)], exemplars={0: [exemplar(0, 1.0, 1.0)]}),
    ]
    assert (
        printed(columns, Options(canonical({"service.name": "shop"})))
        == """\
name: "target_info"
help: "Target metadata"
type: GAUGE
metric {
  label {
    name: "service_name"
    value: "shop"
  }
  gauge {
    value: 1.0
  }
}
name: "u"
type: GAUGE
metric {
  gauge {
    value: -2.0
  }
}
name: "g"
type: GAUGE
metric {
  label {
    name: "a"
    value: "1"
  }
  gauge {
    value: nan
  }
}
metric {
  label {
    name: "a"
    value: "2"
  }
  gauge {
    value: inf
  }
}
"""
    )


def test_a_classic_histogram() -> None:
    some = [exemplar(2, 9.0, 5.0), exemplar(2, 8.0, 4.0)]
    h = histogram("h", (0.5, 1), [({}, [5000.0, 0.0, 2.0, 12.5])], exemplars={0: some})
    assert (
        printed(h)
        == f"""\
name: "h"
type: HISTOGRAM
metric {{
  histogram {{
    sample_count: 5002
    sample_sum: 12.5
    bucket {{
      cumulative_count: 5000
      upper_bound: 0.5
    }}
    bucket {{
      cumulative_count: 5000
      upper_bound: 1.0
    }}
    bucket {{
      cumulative_count: 5002
      upper_bound: inf
      exemplar {{
        label {{
          name: "trace_id"
          value: "{TRACE_ID}"
        }}
        label {{
          name: "span_id"
          value: "{SPAN_ID}"
        }}
        value: 9.0
        timestamp {{
          seconds: 5
        }}
      }}
    }}
    created_timestamp {{
      seconds: 1700000000
      nanos: 500000000
    }}
  }}
}}
"""
    )


def test_counts_that_are_none_are_doubles() -> None:
    (family,) = decode(rendered(histogram("h", (1,), [({}, [0.5, math.nan, 1.0])]), PROTOBUF))
    first, last = family.metric[0].histogram.bucket
    assert first.cumulative_count_float == 0.5
    assert math.isnan(last.cumulative_count_float)


def test_a_native_histogram() -> None:
    value = ExponentialValue(3, 7, 99.5, 3, [10, 0, 0, 20, 5, 2], -4, [1, 1])
    late = Exemplar(0, 2.0, math.nan, TRACE_ID, SPAN_ID)  # a native histogram's exemplars must have a time
    h = exponential("h", [({"a": "b"}, value)], exemplars={0: [late, exemplar(0, 2.0, 6.0)]})
    (family,) = decode(rendered(h, PROTOBUF))
    (metric,) = family.metric
    native = metric.histogram
    assert (family.name, family.type) == ("h", 4)
    assert (native.schema, native.sample_count, native.sample_sum) == (3, 46, 99.5)
    assert (native.zero_threshold, native.zero_count) == (1e-128, 7)
    assert [(span.offset, span.length) for span in native.positive_span] == [(4, 1), (2, 3)]
    assert list(native.positive_delta) == [10, 10, -15, -3]
    assert [(span.offset, span.length) for span in native.negative_span] == [(-3, 2)]
    assert list(native.negative_delta) == [1, 0]
    assert len(native.bucket) == 0
    assert [one.timestamp.seconds for one in native.exemplars] == [6]
    assert native.created_timestamp.seconds == 1700000000


def test_a_native_histogram_that_is_too_coarse_is_left_out() -> None:
    rows = [
        ({"a": "1"}, ExponentialValue(-5, 1, 0.0, 0, [], 0, [])),
        ({}, ExponentialValue(-4, 1, 0.0, 0, [], 0, [])),
    ]
    (family,) = decode(rendered(exponential("h", rows), PROTOBUF))
    assert [metric.histogram.schema for metric in family.metric] == [-4]


def test_utf8_names_stand_for_themselves() -> None:
    body = rendered(
        gauge("queue.size", [({"queue.name": "q"}, 1.0)]),
        Format("protobuf", "", "allow-utf-8"),
        Options(translation="NoTranslation"),
    )
    (family,) = decode(body)
    assert (family.name, family.metric[0].label[0].name) == ("queue.size", "queue.name")


def test_many_series_are_one_message() -> None:
    rows = [({"at": at}, float(at)) for at in range(2500)]
    (family,) = decode(rendered(gauge("g", rows), PROTOBUF))
    assert [(metric.label[0].value, metric.gauge.value) for metric in family.metric] == [
        (str(at), float(at)) for at in range(2500)
    ]
