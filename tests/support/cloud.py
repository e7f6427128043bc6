"""A stand-in for Grafana Cloud: it takes remote write, checks what Grafana Cloud checks, and can have faults.

It is stricter in one thing: a sample that is out of order or there twice is always a problem, where Grafana
Cloud has a window of two hours.
"""

from __future__ import annotations

import base64
import math
import re
import struct
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple

from tests.support import remote_write
from tests.support.ports import free_port
from tests.support.remote_write import Exemplar, Pairs
from tests.support.samples import Samples
from tests.support.web import request

PATH = "/api/prom/push"
USER, TOKEN = "123456", "glc_a-token"
MAX_LABELS, MAX_NAME_CHARS, MAX_VALUE_CHARS, MAX_EXEMPLAR_CHARS = 30, 1024, 2048, 128
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_STALE = 0x7FF0000000000002
_HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class Sample(NamedTuple):
    """One value of a series; None marks its end."""

    timestamp_ms: int
    value: float | None


class Cloud:
    """Listens on a free loopback port; a context manager.

    Args:
        behind: URLs of real receivers of remote write that get what was accepted; their refusal is ours.
    """

    def __init__(self, behind: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{PATH}"
        self.statuses: list[int] = []
        """What every request was answered with."""
        self.problems: list[str] = []
        """What was wrong with requests, apart from credentials."""
        self.series: dict[Pairs, list[Sample]] = {}
        self.exemplars: dict[Pairs, list[Exemplar]] = {}
        self.metadata: dict[str, tuple[int, str, str]] = {}
        self._fault = 0
        self._behind = behind
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Cloud:
        self.come_up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_down()

    def come_up(self) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def go_down(self) -> None:
        """Listen no longer, and cut what is connected."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            self._thread.join()
            server.server_close()

    def answer_with(self, status: int) -> None:
        """Refuse everything with *status*; 0 is to accept again."""
        self._fault = status

    def latest(self, **labels: str) -> Samples:
        """The last value of every series with at least these labels, where the series has not ended."""
        with self._lock:
            found = [(pairs, samples[-1].value) for pairs, samples in self.series.items()]
        return _samples((pairs, value) for pairs, value in found if value is not None and _has(pairs, labels))

    def at(self, timestamp_ms: int, **labels: str) -> Samples:
        """What every series with at least these labels was at exactly that time."""
        with self._lock:
            found = [
                (pairs, sample.value)
                for pairs, samples in self.series.items()
                for sample in samples
                if sample.timestamp_ms == timestamp_ms
            ]
        return _samples((pairs, value) for pairs, value in found if value is not None and _has(pairs, labels))

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """Every value, in time, of the one series of that name with at least these labels.

        Raises:
            AssertionError: There is no such series, or more than one.
        """
        with self._lock:
            found = [
                list(samples)
                for pairs, samples in self.series.items()
                if _has(pairs, {"__name__": name, **labels})
            ]
        assert len(found) == 1, f"{name}{labels}: {len(found)} series"
        return found[0]

    def _handler(cloud) -> type[BaseHTTPRequestHandler]:
        expected = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if cloud._server is not self.server:
                    self.close_connection = True
                    return
                status, answer = cloud._fault, "a fault for the test"
                if self.headers.get("Authorization") != expected:
                    status, answer = 401, "authentication error: invalid credentials"
                elif self.path != PATH:
                    status, answer = 404, "not found"
                elif not status:
                    headers = {name: self.headers.get(name, "") for name in _HEADERS}
                    status, answer = cloud._take(headers, body)
                cloud.statuses.append(status)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        with self._lock:
            problems = [f"{name}: {value}" for name, value in headers.items() if value != _HEADERS[name]]
            try:
                write = remote_write.decode(body)
            except ValueError as error:
                problems.append(str(error))
            else:
                for series in write.series:
                    problems += self._add(series)
                self.metadata.update(write.metadata)
            self.problems += problems
            if problems:
                return 400, "; ".join(problems)
            # Under the lock too: what is seen here is behind.
            for url in self._behind:
                answer = request(url, method="POST", body=body, headers=headers)
                if answer.status >= 300:
                    self.problems.append(f"the receiver behind: {answer.status} {answer.text}")
                    return answer.status, answer.text
        return 204, ""

    def _add(self, series: remote_write.Series) -> Iterator[str]:
        """Keep what one request says of one series; what is wrong with it."""
        yield from _wrong_labels(series.labels)
        known = self.series.setdefault(series.labels, [])
        for timestamp_ms, value in series.samples:
            if known and timestamp_ms <= known[-1].timestamp_ms:
                kind = "twice" if timestamp_ms == known[-1].timestamp_ms else "out of order"
                yield f"a sample {kind}: {dict(series.labels)} at {timestamp_ms}, after {known[-1]}"
            known.append(Sample(timestamp_ms, None if _is_stale(value) else value))
        for exemplar in series.exemplars:
            chars = sum(len(name) + len(value) for name, value in exemplar.labels)
            if not exemplar.labels or chars > MAX_EXEMPLAR_CHARS:
                yield f"an exemplar with {chars} characters of labels: {dict(series.labels)}"
            exemplars = self.exemplars.setdefault(series.labels, [])
            if exemplar not in exemplars:
                exemplars.append(exemplar)


def _wrong_labels(labels: Pairs) -> Iterator[str]:
    names = [name for name, _ in labels]
    metric = dict(labels).get("__name__", "")
    if not _METRIC_NAME.fullmatch(metric):
        yield f"a metric is named {metric!r}"
    if len(labels) > MAX_LABELS:
        yield f"{metric} has {len(labels)} labels"
    if names != sorted(set(names)):
        yield f"{metric} has labels twice or not in order: {names}"
    for name, value in labels:
        if not _LABEL_NAME.fullmatch(name) or len(name) > MAX_NAME_CHARS:
            yield f"{metric} has a label named {name!r}"
        if not value or len(value) > MAX_VALUE_CHARS:
            yield f"{metric} has a label {name} with {len(value)} characters"


def _is_stale(value: float) -> bool:
    return math.isnan(value) and struct.unpack(">Q", struct.pack(">d", value))[0] == _STALE


def _has(pairs: Pairs, labels: dict[str, str]) -> bool:
    return labels.items() <= dict(pairs).items()


def _samples(found: Iterator[tuple[Pairs, float]]) -> Samples:
    samples = Samples()
    for pairs, value in found:
        labels = dict(pairs)
        samples[labels.pop("__name__"), frozenset(labels.items())] = value
    return samples
