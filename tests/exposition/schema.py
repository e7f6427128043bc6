"""The public metrics.proto of prometheus/client_model, built with protobuf itself, to decode with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

PACKAGE = "io.prometheus.client"
FIELD = descriptor_pb2.FieldDescriptorProto

TYPES = ("COUNTER", "GAUGE", "SUMMARY", "UNTYPED", "HISTOGRAM", "GAUGE_HISTOGRAM")

MESSAGES = {
    "LabelPair": "1 string name, 2 string value",
    "Gauge": "1 double value",
    "Counter": "1 double value, 2 Exemplar exemplar, 3 Timestamp created_timestamp",
    "Quantile": "1 double quantile, 2 double value",
    "Summary": (
        "1 uint64 sample_count, 2 double sample_sum, 3 *Quantile quantile, 4 Timestamp created_timestamp"
    ),
    "Untyped": "1 double value",
    "Histogram": (
        "1 uint64 sample_count, 4 double sample_count_float, 2 double sample_sum, 3 *Bucket bucket, "
        "15 Timestamp created_timestamp, 5 sint32 schema, 6 double zero_threshold, 7 uint64 zero_count, "
        "8 double zero_count_float, 9 *BucketSpan negative_span, 10 *sint64 negative_delta, "
        "11 *double negative_count, 12 *BucketSpan positive_span, 13 *sint64 positive_delta, "
        "14 *double positive_count, 16 *Exemplar exemplars"
    ),
    "Bucket": (
        "1 uint64 cumulative_count, 4 double cumulative_count_float, 2 double upper_bound, "
        "3 Exemplar exemplar"
    ),
    "BucketSpan": "1 sint32 offset, 2 uint32 length",
    "Exemplar": "1 *LabelPair label, 2 double value, 3 Timestamp timestamp",
    "Metric": (
        "1 *LabelPair label, 2 Gauge gauge, 3 Counter counter, 4 Summary summary, 5 Untyped untyped, "
        "7 Histogram histogram, 6 int64 timestamp_ms"
    ),
    "MetricFamily": "1 string name, 2 string help, 3 MetricType type, 4 *Metric metric, 5 string unit",
}

SCALARS = {
    "string": FIELD.TYPE_STRING,
    "double": FIELD.TYPE_DOUBLE,
    "uint64": FIELD.TYPE_UINT64,
    "uint32": FIELD.TYPE_UINT32,
    "int64": FIELD.TYPE_INT64,
    "sint32": FIELD.TYPE_SINT32,
    "sint64": FIELD.TYPE_SINT64,
}


def _metric_family() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="metrics.proto", package=PACKAGE, syntax="proto2", dependency=["google/protobuf/timestamp.proto"]
    )
    enum = file.enum_type.add(name="MetricType")
    for number, name in enumerate(TYPES):
        enum.value.add(name=name, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(message, *field.split(" "))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily"))


def _add_field(message: Any, number: str, kind: str, name: str) -> None:
    repeated = kind.startswith("*")
    kind = kind.lstrip("*")
    field = message.field.add(
        name=name, number=int(number), label=FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
    )
    if kind in SCALARS:
        field.type = SCALARS[kind]
    elif kind == "MetricType":
        field.type, field.type_name = FIELD.TYPE_ENUM, f".{PACKAGE}.MetricType"
    else:
        package = "google.protobuf" if kind == "Timestamp" else PACKAGE
        field.type, field.type_name = FIELD.TYPE_MESSAGE, f".{package}.{kind}"


MetricFamily = _metric_family()


def decode(body: bytes) -> list[Any]:
    """All families of a delimited exposition.

    Raises:
        AssertionError: A message has a field that the schema does not know.
    """
    families = [MetricFamily.FromString(message) for message in _delimited(body)]
    for family in families:
        known = MetricFamily()
        known.CopyFrom(family)
        known.DiscardUnknownFields()
        assert known.SerializeToString() == family.SerializeToString()
    return families


def _delimited(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        size = shift = 0
        while True:
            byte = body[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        assert at + size <= len(body)
        yield body[at : at + size]
        at += size
