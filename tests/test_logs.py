"""Log records as JSON lines, and on their way to a receiver of OTLP."""

from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from otel_obs.logs import JsonLines, write_json_lines
from tests.support.otlp import OtlpReceiver, SentLog
from tests.support.processes import Service, tool
from tests.support.programs import run
from tests.support.waiting import until

SPAN = SpanContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, False, TraceFlags(1))
LINE_KEYS = ["timestamp", "level", "logger", "message"]


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    stream, logger = io.StringIO(), logging.getLogger("tests.shop")
    logger.propagate = False
    handler = write_json_lines(stream, logger=logger, service="shop")
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


logger = logging.getLogger("tests.shop")


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_record_in_a_span_has_its_ids(out: io.StringIO) -> None:
    with trace.use_span(NonRecordingSpan(SPAN)):
        logger.info("sold %d", 3, extra={"order": "a-1", "price": 2.5})

    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "tests.shop",
        "message": "sold 3",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331",
        "service": "shop",
        "order": "a-1",
        "price": 2.5,
    }


def test_outside_of_a_span_there_are_no_ids(out: io.StringIO) -> None:
    logger.info("ready")

    assert list(lines(out)[0]) == [*LINE_KEYS, "service"]


def test_an_exception_of_many_lines_is_one_line(out: io.StringIO) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logger.exception("failed\nhere")

    (line,) = lines(out)
    assert line["message"] == "failed\nhere"
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: two\nlines")


class Mute:
    def __str__(self) -> str:
        raise RuntimeError


def test_nothing_of_a_record_is_lost_whatever_is_in_it(out: io.StringIO) -> None:
    round_about: list[Any] = []
    round_about.append(round_about)
    unfit = JsonLines().format(logging.makeLogRecord({"msg": "%d items", "args": ("many",)}))
    logger.info(
        "half \ud800 a pair", extra={"nan": math.nan, "set": {1}, "mute": Mute(), "round": round_about}
    )
    logger.info("taken", extra={"level": "mine", "trace_id": "mine"})

    second, third = lines(out)
    assert json.loads(unfit)["message"] == "%d items ('many',)"
    assert second["message"] == "half \ud800 a pair"
    assert (second["nan"], second["set"], second["mute"]) == ("nan", [1], "<Mute without a text>")
    assert (third["level"], third["level_"], third["trace_id"]) == ("INFO", "mine", "mine")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=10,
)


@given(st.text(), VALUES)
def test_any_record_is_one_line_that_strict_json_reads(message: str, value: Any) -> None:
    record = logging.makeLogRecord({"msg": message, "args": (), "levelname": "INFO", "mine": value})

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = JsonLines().format(record)

    text.encode()
    assert "\n" not in text
    assert "\r" not in text
    assert json.loads(text, parse_constant=refuse)["message"] == message


FLASK = """
import logging
import logging.config
from flask import Flask

logging.basicConfig(level=logging.INFO)
aside = logging.getLogger("aside")
aside.propagate = False
aside.addHandler(logging.NullHandler())
app = Flask("web")

@app.get("/health")
def health():
    return "ok"

@app.get("/sell/<order>")
def sell(order):
    logging.getLogger("shop").info("sold %s", order, extra={"order": order, "lines": [1, 2]})
    aside.warning("aside")
    try:
        raise LookupError("none left")
    except LookupError:
        logging.getLogger("shop").exception("failed")
    return "ok"
"""


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_records_of_every_worker_arrive_with_their_span(protocol: str, tmp_path: Path) -> None:
    (tmp_path / "web.py").write_text(FLASK)
    with OtlpReceiver() as receiver:
        env = {
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BLRP_SCHEDULE_DELAY": "50",
            **receiver.environment(protocol),
        }
        command = ("-w", "2", "-b", "127.0.0.1:{port}", "web:app")
        with Service(
            tool("opentelemetry-instrument"),
            tool("gunicorn"),
            *command,
            cwd=tmp_path,
            env=env,
            log_file=tmp_path / "log",
        ) as service:
            for number in range(20):
                assert service.get(f"/sell/{number}").status == 200
            assert "INFO:shop:sold 19" in service.log  # the application's own handlers go on
        sent = {record.attributes["order"]: record for record in _of(receiver, "sold")}

        assert sorted(sent, key=int) == [str(number) for number in range(20)]
        spans = {span.trace_id: span for span in receiver.spans() if "/sell" in span.name}
        for record in sent.values():
            assert record.span_id == spans[record.trace_id].span_id
            assert (record.severity, record.number, record.logger) == ("INFO", 9, "shop")
            assert record.resource["service.name"] == "shop"
            assert (
                record.resource["service.instance.id"]
                == spans[record.trace_id].resource["service.instance.id"]
            )
        assert len(_of(receiver, "aside")) == 20
        # What the first process logs is kept until its end: a thread of it would hold locks at its forks.
        assert len(_of(receiver, "Listening at")) == 1
        failed = _of(receiver, "failed")[0]
        assert failed.attributes["exception.type"] == "LookupError"
        assert "none left" in failed.attributes["exception.stacktrace"]


def _of(receiver: OtlpReceiver, beginning: str) -> list[SentLog]:
    until(lambda: any(record.body.startswith(beginning) for record in receiver.logs()), beginning)
    return [record for record in receiver.logs() if record.body.startswith(beginning)]


def test_what_is_logged_last_is_sent_and_a_receiver_that_is_down_holds_nobody_up() -> None:
    with OtlpReceiver() as receiver:
        env = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "once", **receiver.environment("grpc")}
        run(
            """
            import logging, otel_obs
            otel_obs.configure()
            logging.getLogger("last").error("good bye")
            """,
            env=env,
        )
        assert [record.body for record in receiver.logs() if record.logger == "last"] == ["good bye"]
    done = run(
        """
        import logging, time, otel_obs
        otel_obs.configure()
        began = time.monotonic()
        for number in range(1000):
            logging.getLogger("last").error("nobody hears")
        print(time.monotonic() - began < 60)
        """,
        env=env,
    )
    assert done.lines == ["True"]


def test_without_the_variable_nothing_of_logging_is_touched() -> None:
    done = run(
        """
        import logging, sys
        before = logging.Logger.callHandlers, logging.getLogRecordFactory()
        import otel_obs
        otel_obs.configure()
        print((logging.Logger.callHandlers, logging.getLogRecordFactory()) == before)
        print("opentelemetry.sdk._logs" in sys.modules)
        """
    )

    assert done.lines == ["True", "False"]


def test_shutdown_gives_logging_back() -> None:
    done = run(
        """
        import logging
        before = logging.Logger.callHandlers
        import otel_obs
        otel_obs.configure(logs_exporters="console")
        print(logging.Logger.callHandlers is before)
        otel_obs.shutdown()
        print(logging.Logger.callHandlers is before)
        """
    )

    assert done.lines == ["False", "True"]
