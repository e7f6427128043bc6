"""Which process is which part: odd files, two commands at once, and parts that run at other ports."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_obs.errors import OperationsError
from otel_obs.ops.stack.processes import logs_of, stack_ports, stack_state, stop_stack
from otel_obs.ops.stack.programs import all_ports
from otel_obs.ops.stack.records import (
    PartRecord,
    only_one,
    read_part,
    record_path,
    running_pid,
    running_ports,
    write_record,
)
from tests.support.waiting import until

GOOD = PartRecord(4711, 5.0, 9090, 9090, {"prometheus": 9090})


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    write_record(tmp_path, "prometheus", GOOD)

    assert read_part(tmp_path, "prometheus") == GOOD
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["prometheus.json"]


ODD = (
    "",
    "garbage",
    "[]",
    "null",
    '"text"',
    "{}",
    '{"pid": -1, "began_s": 1, "port": 9090}',
    '{"pid": 0, "began_s": 1, "port": 9090}',
    '{"pid": NaN, "began_s": 1, "port": 9090}',
    '{"pid": Infinity, "began_s": 1, "port": 9090}',
    '{"pid": 1e300, "began_s": 1, "port": 9090}',
    '{"pid": "me", "began_s": 1, "port": 9090}',
    '{"pid": 1, "began_s": null, "port": 9090}',
    '{"pid": 1, "began_s": 1, "port": 99999999}',
    '{"pid": 1, "began_s": 1, "port": 9090, "ports": []}',
    '{"pid": 1, "began_s": 1, "port": 9090, "ports": {"prometheus": -1}}',
    '{"pid": 1, "began_s": 1, "port": 9090, "ready_port": "x"}',
    '{"pid": 1, "began_s": 1, "po',
)


@pytest.mark.parametrize("text", ODD)
def test_a_file_that_says_nothing_is_no_part_and_ends_nobody(text: str, tmp_path: Path) -> None:
    record_path(tmp_path, "prometheus").parent.mkdir()
    record_path(tmp_path, "prometheus").write_text(text)

    assert running_pid(tmp_path, "prometheus") is None
    assert stack_state(tmp_path) == []
    assert stop_stack(tmp_path) == []
    assert not record_path(tmp_path, "prometheus").exists()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_no_file_is_an_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("root")
    record_path(root, "prometheus").parent.mkdir()
    record_path(root, "prometheus").write_text(text, encoding="utf-8", newline="")

    assert read_part(root, "prometheus") is None


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A stack of which Prometheus runs, at port 19095."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        (tmp_path / "run").mkdir()
        began_s = psutil.Process(process.pid).create_time()
        write_record(
            tmp_path, "prometheus", PartRecord(process.pid, began_s, 19095, 19095, {"prometheus": 19095})
        )
        yield tmp_path
    finally:
        process.kill()
        process.communicate()


def test_a_part_that_runs_keeps_its_port(running: Path) -> None:
    assert running_ports(running) == {"prometheus": 19095}
    assert stack_ports(running, {}) == all_ports({"prometheus": 19095})
    assert stack_ports(running, {"prometheus": 19095, "grafana": 3001})["grafana"] == 3001

    with pytest.raises(OperationsError) as raised:
        stack_ports(running, {"prometheus": 9091})

    assert str(raised.value) == (
        "--port prometheus=9091 cannot be: it runs already, at 19095; "
        f"leave the option out, or end the stack first: otel-obs stack down --dir {running}"
    )


HOLDING = """
import sys
from pathlib import Path
from otel_obs.ops.stack.records import only_one
with only_one(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_second_command_waits_for_the_first_also_where_that_is_killed(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    said: list[str] = []
    entered = threading.Event()

    def second() -> None:
        with only_one(tmp_path, said.append):
            entered.set()

    waiting = threading.Thread(target=second, daemon=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"mine\n"
        waiting.start()
        until(lambda: said != [], "the second says that it waits", 60)
        assert not entered.is_set()
    finally:
        first.kill()
        first.communicate()
    assert entered.wait(60)
    waiting.join(60)
    assert said == [f"waiting for another command that starts or stops the stack in {tmp_path}"]


def test_a_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_text("mine\n")

    with (
        pytest.raises(OperationsError, match=r"^--dir .*file cannot be used: .*; choose another --dir$"),
        only_one(root),
    ):
        pass
    assert (stop_stack(root), stack_state(root)) == ([], [])
    with pytest.raises(OperationsError, match="has no logs; start a stack with: otel-obs stack up"):
        logs_of(root)
    assert root.read_text() == "mine\n"
