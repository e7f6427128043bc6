"""Files of ended workers do not pile up where nobody scrapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_obs.cells.foreign_file import RETIRED, SUFFIX
from otel_obs.cells.layout import Kind, Stream
from otel_obs.cells.piling import MOST_LEFT, fold_piled
from tests.cells.conftest import Fleet, record
from tests.support.programs import run

COUNTER = Stream(Kind.COUNTER, "c")
NONE: tuple[object, ...] = ()


def files_of(fleet: Fleet) -> int:
    return sum(name.endswith(SUFFIX) for name in fleet.run_dir.names())


def test_many_files_of_ended_workers_are_folded_and_counted_as_before(fleet: Fleet) -> None:
    living = fleet.worker()
    record(living, COUNTER, [0.5])
    for _ in range(MOST_LEFT):
        store = fleet.worker()
        record(store, COUNTER, [1.0])
        fleet.die(store)
    fold_piled(fleet.run_dir)
    assert files_of(fleet) == 1
    assert fleet.values() == {"c": {NONE: MOST_LEFT + 0.5}}


def test_few_files_wait_for_a_scrape_and_living_workers_are_left_alone(fleet: Fleet) -> None:
    for number in range(MOST_LEFT + 5):
        store = fleet.worker()
        record(store, COUNTER, [1.0])
        if number < 5:
            fleet.die(store)
    fold_piled(fleet.run_dir)
    assert files_of(fleet) == MOST_LEFT + 5
    assert RETIRED not in fleet.run_dir.names()
    assert fleet.values() == {"c": {NONE: MOST_LEFT + 5.0}}


def test_what_goes_wrong_does_not_reach_the_application(
    fleet: Fleet, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fold(*_: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr("otel_obs.cells.shelf.Shelf.fold", fold)
    for _ in range(MOST_LEFT + 5):
        fleet.die(fleet.worker())
    fold_piled(fleet.run_dir)
    assert "are not folded" in caplog.text


JOBS = """
import os
from otel_obs import prometheus
jobs = prometheus.Counter("jobs", "Jobs, a process each")
most = 0
base = os.environ["OTEL_OBS_RUN_DIR"]
jobs.inc()
for _ in range(200):
    child = os.fork()
    if child == 0:
        jobs.inc()
        os._exit(0)
    os.waitpid(child, 0)
    most = max(most, sum(name.endswith(".cells") for _, _, names in os.walk(base) for name in names))
print(most)
print(*(line for line in prometheus.generate_latest().decode().splitlines() if line.startswith("jobs_total")))
"""


def test_a_process_for_each_job_without_a_scrape(tmp_path: Path) -> None:
    done = run(JOBS, env={"OTEL_OBS_RUN_DIR": str(tmp_path)})
    most, page = done.lines
    assert int(most) <= MOST_LEFT + 2
    assert page == "jobs_total 201.0"
