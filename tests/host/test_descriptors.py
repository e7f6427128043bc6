"""Files that stay open keep off the numbers of the standard streams."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_obs.host.descriptors import Descriptor, close_lost, standard_taken
from tests.support.processes import clean_env
from tests.support.programs import ROOT

WITHOUT_STREAMS = """
import os, sys
for number in range(3):
    os.close(number)
import otel_obs
from opentelemetry import metrics
otel_obs.configure()
orders = metrics.get_meter("shop").create_counter("orders")
orders.add(1)
otel_obs.get_metrics()
low = [os.path.realpath(f"/proc/self/fd/{number}") for number in range(3)]
# As a daemon does, or a library that logs there.
nothing = os.open(os.devnull, os.O_RDWR)
for number in range(3):
    os.dup2(nothing, number)
    os.write(number, b"a line of somebody's log\\n" * 100)
read, write = os.pipe()
child = os.fork()
if child == 0:
    orders.add(2, {"by": "child"})
    text = otel_obs.get_metrics()[0].decode()
    shown = ("orders_total", "otel_obs_workers ")
    said = sorted(line for line in text.splitlines() if line.startswith(shown))
    of_service = [each for each in low if each.startswith(sys.argv[2])]
    os.write(write, "\\n".join([*of_service, *said]).encode())
    os._exit(0)
os.waitpid(child, 0)
with open(sys.argv[1], "wb") as file:
    file.write(os.read(read, 65536))
"""


def test_a_process_without_standard_streams_keeps_its_numbers(tmp_path: Path) -> None:
    result = tmp_path / "result"
    env = clean_env({"OTEL_OBS_RUN_DIR": str(tmp_path), "OTEL_OBS_RUNTIME_METRICS": "false"})
    command = [sys.executable, "-c", WITHOUT_STREAMS, str(result), str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=env, timeout=110, check=True)
    assert result.read_text().splitlines() == [
        "orders_total 1.0",
        'orders_total{by="child"} 2.0',
        "otel_obs_workers 2.0",
    ]


def opened() -> Descriptor:
    return Descriptor(os.open, os.devnull, os.O_RDONLY)


def is_open(number: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{number}")


def test_numbers_above_stay() -> None:
    descriptor = opened()
    before = set(os.listdir("/proc/self/fd"))
    number = descriptor.number
    assert descriptor.above_standard().number == number
    with standard_taken():
        pass
    assert set(os.listdir("/proc/self/fd")) == before
    descriptor.close()


def test_what_is_closed_has_no_number() -> None:
    descriptor = opened()
    with descriptor as number:
        assert is_open(number)
    assert not is_open(number)
    descriptor.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        _ = descriptor.number


def test_what_nobody_has_any_more_is_closed_later_and_by_no_finaliser() -> None:
    numbers = [opened().number, opened().number]  # the second one closes the first
    assert [is_open(number) for number in numbers[1:]] == [True]
    close_lost()
    assert not any(map(is_open, numbers))
    assert not hasattr(Descriptor, "__del__")


def test_a_number_that_is_another_files_by_now_stays_open() -> None:
    lost, kept = opened(), opened()
    taken = []
    for descriptor in (lost, kept):
        os.close(descriptor.number)
        taken.append(os.open("/proc/self/status", os.O_RDONLY))
    assert taken == [lost.number, kept.number]
    assert not kept.is_intact()
    kept.close()
    del lost, descriptor
    close_lost()
    for number in taken:
        os.close(number)  # which fails where it was closed before


def test_what_cannot_be_opened_leaves_nothing(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            Descriptor(os.open, tmp_path / "missing", os.O_RDONLY)
    close_lost()
    assert set(os.listdir("/proc/self/fd")) == before
