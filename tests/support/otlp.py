"""A receiver of OTLP, over HTTP and gRPC, that keeps what it is sent."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.support.samples import Samples

Attributes = dict[str, Any]
Authorize = Callable[[str], bool]
R = TypeVar("R", bound="OtlpReceiver")


class Span(NamedTuple):
    """A finished span, and the service that it comes from."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the first span of a trace."""
    attributes: Attributes
    resource: Attributes


class SentLog(NamedTuple):
    """A log record that has arrived."""

    logger: str
    severity: str
    number: int
    body: str
    trace_id: str
    span_id: str
    attributes: Attributes
    resource: Attributes


class Exemplar(NamedTuple):
    """A measurement with the trace that it was made in."""

    metric: str
    attributes: Attributes
    value: float
    trace_id: str
    span_id: str


class OtlpReceiver:
    """Listens on two free loopback ports; a context manager.

    Args:
        http_port: The port for HTTP, where it has to be a certain one.
        authorize: Tells whether an `Authorization` header is right; others get 401. HTTP only.
    """

    def __init__(self, http_port: int = 0, authorize: Authorize = lambda header: True) -> None:
        self.metric_requests: list[Any] = []
        self.trace_requests: list[Any] = []
        self.log_requests: list[Any] = []
        self.status = 200
        """What HTTP requests are answered with; what is refused is not kept."""
        self._authorize = authorize
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", http_port), self._handler())
        self._http.daemon_threads = True
        self._grpc = grpc.server(ThreadPoolExecutor(4))
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Servicer(self._keep_metrics, metrics_service_pb2.ExportMetricsServiceResponse), self._grpc
        )
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Servicer(self._keep_traces, trace_service_pb2.ExportTraceServiceResponse), self._grpc
        )
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(  # type: ignore[no-untyped-call]
            _Servicer(self._keep_logs, logs_service_pb2.ExportLogsServiceResponse), self._grpc
        )
        self.grpc_port: int = self._grpc.add_insecure_port("127.0.0.1:0")
        self.http_port: int = self._http.server_address[1]

    def __enter__(self: R) -> R:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self._grpc.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._grpc.stop(None).wait()

    def environment(self, protocol: str) -> dict[str, str]:
        """The variables with which an OTLP exporter sends here, over `grpc` or `http/protobuf`."""
        port = self.grpc_port if protocol == "grpc" else self.http_port
        return {
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }

    def spans(self) -> list[Span]:
        """Every span so far."""
        with self._lock:
            requests = list(self.trace_requests)
        return [
            Span(
                str(resource.get("service.name", "")),
                span.name,
                span.kind,
                span.trace_id.hex(),
                span.span_id.hex(),
                span.parent_span_id.hex(),
                attributes(span.attributes),
                resource,
            )
            for request in requests
            for group in request.resource_spans
            for resource in [attributes(group.resource.attributes)]
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def logs(self) -> list[SentLog]:
        """Every log record so far."""
        with self._lock:
            requests = list(self.log_requests)
        return [
            SentLog(
                scope.scope.name,
                record.severity_text,
                record.severity_number,
                record.body.string_value,
                record.trace_id.hex(),
                record.span_id.hex(),
                attributes(record.attributes),
                attributes(group.resource.attributes),
            )
            for request in requests
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]

    def resources(self) -> list[Attributes]:
        """The distinct resources that have sent metrics, in the order of their first."""
        found: dict[str, Attributes] = {}
        for group in self._resource_metrics():
            resource = attributes(group.resource.attributes)
            found.setdefault(repr(sorted(resource.items())), resource)
        return list(found.values())

    def latest(self, **resource: str) -> Samples:
        """The last value of every data point, by instrument and attributes, summed over instances.

        A histogram is two samples, its `_count` and `_sum`.

        Args:
            resource: Attributes that a resource must have to be counted, dots written as `__`.
        """
        wanted = {key.replace("__", "."): value for key, value in resource.items()}
        last: dict[tuple[str, str, frozenset[tuple[str, str]]], float] = {}
        for group in self._resource_metrics():
            given = attributes(group.resource.attributes)
            if wanted.items() <= given.items():
                for name, labels, value in _points(group):
                    last[str(given.get("service.instance.id")), name, labels] = value
        samples = Samples()
        for (_, name, labels), value in last.items():
            samples[name, labels] = samples.get((name, labels), 0.0) + value
        return samples

    def exemplars(self) -> list[Exemplar]:
        """Every exemplar of a metric so far."""
        return [
            Exemplar(
                metric.name,
                attributes(point.attributes),
                one.as_double,
                one.trace_id.hex(),
                one.span_id.hex(),
            )
            for group in self._resource_metrics()
            for scope in group.scope_metrics
            for metric in scope.metrics
            for point in _data_points(metric)
            for one in point.exemplars
        ]

    def _resource_metrics(self) -> Iterator[Any]:
        with self._lock:
            requests = list(self.metric_requests)
        for request in requests:
            yield from request.resource_metrics

    def _keep_metrics(self, request: Any) -> None:
        with self._lock:
            self.metric_requests.append(request)

    def _keep_traces(self, request: Any) -> None:
        with self._lock:
            self.trace_requests.append(request)

    def _keep_logs(self, request: Any) -> None:
        with self._lock:
            self.log_requests.append(request)

    def _handler(receiver) -> type[BaseHTTPRequestHandler]:
        kinds: Mapping[str, tuple[Any, Callable[[Any], None]]] = {
            "/v1/metrics": (metrics_service_pb2.ExportMetricsServiceRequest, receiver._keep_metrics),
            "/v1/traces": (trace_service_pb2.ExportTraceServiceRequest, receiver._keep_traces),
            "/v1/logs": (logs_service_pb2.ExportLogsServiceRequest, receiver._keep_logs),
        }

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                suffix = "/" + "/".join(self.path.split("/")[-2:])
                status = receiver.status
                if not receiver._authorize(self.headers.get("Authorization", "")):
                    status = 401
                elif suffix not in kinds:
                    status = 404
                elif status == 200:
                    if self.headers.get("Content-Encoding") == "gzip":
                        body = gzip.decompress(body)
                    message, keep = kinds[suffix]
                    keep(message.FromString(body))
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class _Servicer:
    def __init__(self, keep: Callable[[Any], None], answer: Callable[[], Any]) -> None:
        self._keep, self._answer = keep, answer

    def Export(self, request: Any, context: Any) -> Any:
        """Keep one request."""
        self._keep(request)
        return self._answer()


def attributes(pairs: Any) -> Attributes:
    """OTLP's key-value pairs as a dictionary; arrays become tuples."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(item) for item in value.array_value.values)
    return getattr(value, kind) if kind else None


def _data_points(metric: Any) -> Any:
    return getattr(metric, metric.WhichOneof("data")).data_points


def _points(group: Any) -> Iterator[tuple[str, frozenset[tuple[str, str]], float]]:
    for scope in group.scope_metrics:
        for metric in scope.metrics:
            for point in _data_points(metric):
                labels = frozenset((key, str(value)) for key, value in attributes(point.attributes).items())
                if metric.WhichOneof("data") == "histogram":
                    yield f"{metric.name}_count", labels, float(point.count)
                    yield f"{metric.name}_sum", labels, point.sum
                else:
                    yield metric.name, labels, point.as_double or float(point.as_int)
