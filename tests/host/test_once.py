"""A line that says nothing new is not written."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from otel_obs.host.once import LogOnce


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_each_thing_is_said_once_until_it_is_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    once = LogOnce()
    with caplog.at_level(logging.WARNING, "otel_obs"):
        for number in range(3):
            once.warning("port", "the port is taken: %d", number)
            once.error("disk", "the disk is full: %d", number)
        once.forget("port")
        once.warning("port", "the port is taken again")

    assert messages(caplog) == [
        "the port is taken: 0",
        "the disk is full: 0",
        "the port is taken again",
    ]


def test_a_handler_that_raises_or_comes_back_here_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    once = LogOnce()
    calls: list[str] = []

    class Broken(logging.Handler):
        def emit(self, record: Any) -> None:
            calls.append(record.getMessage())
            once.warning("it", "again")
            raise ValueError("the log is broken")

    logger = logging.getLogger("otel_obs")
    handler = Broken()
    logger.addHandler(handler)
    try:
        once.warning("it", "once")
        once.warning("it", "once")
    finally:
        logger.removeHandler(handler)

    assert calls == ["once"]


def test_ever_new_things_come_to_an_end(caplog: pytest.LogCaptureFixture) -> None:
    once = LogOnce()
    with caplog.at_level(logging.WARNING, "otel_obs"):
        for number in range(2_100):
            once.warning(number, "%d", number)

    assert len(caplog.records) == 2_000
