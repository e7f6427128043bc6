"""A crash, or a full device, at every single step: what was counted is counted after the next scrape."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.programs import run

PREPARED = """
import os, sys
from tests.faults.worker import *
from tests.faults.inject import CRASHED, at_step, crash, no_room
import otel_obs.cells.retire as retire
retire.KEEP_IDS_S = 0.0  # or every round would have more steps than the one before
hit(1)
expected = 1
durations = metrics.get_meter("faults").create_histogram("took")
durations.record(0.3)
observed = 1
def dead(number):
    global expected, observed
    def work():
        hit(number, kind=str(number % 3))
        durations.record(0.1 * number)
    assert forked(work) == 0
    expected += number
    observed += 1
def is_exact():
    return total() == expected and family("took_count") == observed
wrong = []
"""


def test_a_crash_at_every_step_of_folding(clean_base: Path) -> None:
    code = """
def scrape(step):
    # Not the scrape itself: its own record would be counted among the steps.
    def look():
        with at_step(step, crash):
            pipeline.snapshot()
    return forked(look)
step, code = 0, CRASHED
while code == CRASHED:
    step += 1
    dead(step)
    dead(step + 1)
    code = scrape(step)
    if not is_exact() or not is_exact():
        wrong.append([step, total(), expected])
say([code, wrong, step > 60])
"""
    done = run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[0, [], True]]
    assert done.log == ""


def test_a_full_device_at_every_step_of_folding(clean_base: Path) -> None:
    code = """
step, steps = 0, [1]
while step <= steps[0]:
    step += 1
    dead(step)
    with at_step(step, no_room) as steps:
        try:
            pipeline.snapshot()
        except OSError as error:
            wrong.append([step, repr(error)])
    if not is_exact() or not is_exact():
        wrong.append([step, total(), expected])
say([wrong, step > 5])
"""
    done = run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[[], True]]


def test_a_worker_is_killed_at_every_step_of_its_first_record(clean_base: Path) -> None:
    code = """
step, code, counted = 0, CRASHED, 0
while code == CRASHED:
    step += 1
    def first():
        with at_step(step, crash):
            hit(1, kind="first")
    code = forked(first)
    now = total(kind="first")
    if now not in (counted, counted + 1):
        wrong.append([step, now])
    counted = now
say([code, wrong, step > 10, family("otel_obs_worker_files_skipped_total")])
"""
    done = run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[0, [], True, 0]]


def test_a_full_device_at_every_step_of_a_first_record(clean_base: Path) -> None:
    # Meanwhile a scrape has every number of all workers, or is refused; when there is room again it has them.
    code = """
import otel_obs.cells.placing as placing
from otel_obs.errors import NotSharedError
from tests.support.waiting import until
placing.RETRY_S = 0.05
def seen():
    try:
        return [total(kind="first")]
    except NotSharedError:
        return []
step, last, refusals = 0, None, 0
while last not in (0, 1):
    step += 1
    def first():
        with at_step(step, no_room) as steps:
            hit(1, kind="first")
            bound = counter.bind({"kind": "first"})
            bound.add(1)
        at_once = seen()
        (now,) = until(seen, "a page of all workers")
        if now != 2 * step or at_once not in ([], [now]):
            os._exit(3)
        os._exit((0 if steps[0] < step else 4) + (not at_once) * 10)
    last = forked(first)
    refusals += last == 14
    if last not in (0, 4, 14) or total(kind="first") != 2 * step:
        wrong.append([step, last, total(kind="first")])
say([wrong, step > 3, refusals > 3])
"""
    done = run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[[], True, True]]


@pytest.mark.parametrize("what", ["crash", "no_room"])
def test_every_step_of_a_move_to_a_new_store(what: str, clean_base: Path) -> None:
    code = f"""
what = {what}
step, last = 0, None
while last not in (0, 1):
    step += 1
    def move():
        hit(5, kind="moved")
        worker = pipeline.provider.worker
        store = worker.store()
        with at_step(step, what) as steps:
            worker.exclusively(lambda: worker._move(store))
        hit(2, kind="moved")
        total(kind="moved") >= 7 or os._exit(3)
        os._exit(0 if steps[0] < step else 4)
    before = total(kind="moved")
    last = forked(move)
    gained = total(kind="moved") - before
    if gained != (5 if last == CRASHED else 7) or last not in (0, 4, CRASHED):
        wrong.append([step, last, gained])
say([wrong, last, step > 3])
"""
    done = run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[[], 0, True]]


RESCALED = """
import os, signal
import otel_obs
from opentelemetry import metrics
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from otel_obs.cells.exponential import index_of
from tests.faults.inject import CRASHED, crash
view = View(instrument_name="spread", aggregation=ExponentialBucketHistogramAggregation(max_size=8))
pipeline = otel_obs.configure(runtime_metrics=False, views=[view])
from tests.faults.worker import forked, say
spread = metrics.get_meter("faults").create_histogram("spread")
BEFORE, AT = [1.0, 1.1, 1.2, 1.3, 0.0], 1000.0
class Late(Exception):
    pass
class Stepping:
    "Cells, before the n-th change of which something happens."
    def __init__(self, cells, number, happen):
        self.cells, self.number, self.happen = cells, number, happen
    def __getitem__(self, at):
        return self.cells[at]
    def __setitem__(self, at, value):
        self.number -= 1
        if self.number == 0:
            self.happen()
        self.cells[at] = value
def before(number, happen):
    for amount in BEFORE:
        spread.record(amount)
    (series,) = spread.aggregators()[0].series.values()
    series.cells = Stepping(series.cells, number, happen)
    return series
def held():
    (column,) = [each for each in pipeline.snapshot().columns if each.table.stream.name == "spread"]
    return column.values[0]
def is_exact(value, amounts):
    expected = {}
    for amount in filter(None, amounts):
        index = index_of(amount, value.scale)
        expected[index] = expected.get(index, 0) + 1
    found = {index: count for index, count in enumerate(value.positive, value.positive_offset) if count}
    return found == expected and value.zero_count == amounts.count(0.0) and not any(value.negative)
def is_sum(value, amounts):
    return abs(value.sum - sum(amounts)) < 1e-6
"""


def test_a_crash_at_every_step_of_a_change_of_scale(clean_base: Path) -> None:
    code = """
def work(number):
    before(number, crash)
    spread.record(AT)
acknowledged, in_flight, step, code, wrong = [], 0, 0, CRASHED, []
while code == CRASHED:
    step += 1
    code = forked(lambda: work(step))
    acknowledged += BEFORE
    for _ in range(2):  # of the dead worker's file, and when it is folded
        value = held()
        before_or_after = [
            more for more in ([], [AT]) if is_exact(value, acknowledged + more) and value.sum > 0
        ]
        if not before_or_after:
            wrong.append([step, value])
    acknowledged += before_or_after[0] if before_or_after else []
    in_flight += len(before_or_after[0]) if before_or_after else 0
say([code, wrong, step > 20, in_flight < 4, round(sum(acknowledged) - held().sum, 6) in (0, AT)])
"""
    done = run(RESCALED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[0, [], True, True, True]]


def test_a_signal_handler_that_raises_at_every_step_of_a_change_of_scale(clean_base: Path) -> None:
    code = """
def raise_late(*_):
    raise Late
signal.signal(signal.SIGUSR1, raise_late)
spread.record(0.0)
spread.remove()
series = before(0, None)
spread.record(AT)
wrong, steps = [], -series.cells.number
# The last four, to the buckets and the sum, have no call between them: no handler comes there.
for step in range(1, steps - 2):
    spread.remove()
    series = before(step, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    try:
        spread.record(AT)
    except Late:
        pass
    series.cells = series.cells.cells
    value = held()
    spread.record(AT)
    after = held()
    if not (is_exact(value, BEFORE) and is_sum(value, BEFORE)):
        wrong.append([step, value])
    if not (is_exact(after, [*BEFORE, AT]) and is_sum(after, [*BEFORE, AT])):
        wrong.append([step, after])
say([wrong, steps > 20, pipeline.provider.dropped])
"""
    done = run(RESCALED + code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [[[], True, {}]]
