"""The place of the numbers: full, taken away, occupied by somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import GUNICORN, WRAPPER, WSGI, assert_exact, hurt
from tests.faults.test_servers import send
from tests.support.programs import Finished, run
from tests.support.waiting import until

PREPARED = "import os, signal, sys, time\nfrom tests.faults.worker import *\n"
ALONE = "; metrics of this process are not merged with those of other workers"
APART = """
from otel_obs.errors import NotSharedError
def is_refused():
    try:
        total()
    except NotSharedError:
        return True
    return False
"""


def faulty(code: str, base: Path | str, env: dict[str, str] | None = None) -> Finished:
    return run(PREPARED + code, env={"OTEL_OBS_RUN_DIR": str(base), **(env or {})}, timeout_s=240)


@pytest.fixture
def small_device(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    path = tmp_path / "small"
    path.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(path)], capture_output=True
        ).returncode
    ):
        pytest.skip("a file system of 1 MB cannot be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


FILL = """
def fill():
    with open(os.path.join(os.environ["OTEL_OBS_RUN_DIR"], "filler"), "ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
"""


def test_a_device_that_is_full_from_the_start(small_device: Path) -> None:
    code = """
fill()
hit(5)
child = forked(lambda: (hit(3), is_refused() or sys.exit(2)))
say([child, total()])
"""
    done = faulty(FILL + APART + code, small_device)
    assert done.results == [[0, 5]]
    assert done.log.splitlines() == [f"[Errno 28] No space left on device{ALONE}"] * 2


def test_a_device_that_fills_up_while_series_are_made(small_device: Path) -> None:
    # The shared file runs out of room, then more are added; nothing is lost, and nothing crashes.
    code = """
limited = metrics.get_meter("faults").create_counter("many", limit=100_000)
hit(1)
for number in range(12_000):
    limited.add(1, {"number": str(number)})
    if number == 3000:
        fill()
for number in range(12_000):
    limited.add(1, {"number": str(number)})
bound = limited.bind({"number": "11999"})
bound.add(1)
level = metrics.get_meter("faults").create_gauge("late")
level.set(3)
limited.remove({"number": "11998"})
limited.add(5, {"number": "11998"})
hit(1)
say([total(), family("many_total"), family("late"), family("otel_obs_workers")])
def other():
    hit(10)  # no room for a file of its own
    say(is_refused())
forked(other)
"""
    done = faulty(FILL + APART + code, small_device)
    assert done.results == [[2, 24_000 + 1 - 2 + 5, 3, 1], True]
    assert done.log.splitlines() == [f"[Errno 28] No space left on device{ALONE}"] * 2


def test_a_device_that_is_full_when_a_dead_worker_is_folded(small_device: Path) -> None:
    code = """
hit(1)
for number in range(1, 4):
    forked(lambda: hit(number))
fill()
results = [total(), total()]
os.unlink(os.path.join(os.environ["OTEL_OBS_RUN_DIR"], "filler"))
say([*results, total(), total()])
"""
    assert faulty(FILL + code, small_device).results == [[7, 7, 7, 7]]


def test_a_file_that_others_fill_the_device_around_is_never_a_bus_error(small_device: Path) -> None:
    code = """
limited = metrics.get_meter("faults").create_histogram("wide", limit=100_000)
for number in range(6000):
    if number % 150 == 0:
        fill()
        if number % 300 == 0:
            os.unlink(os.path.join(os.environ["OTEL_OBS_RUN_DIR"], "filler"))
    limited.record(1, {"number": str(number)})
say(family("wide_count"))
"""
    assert faulty(FILL + code, small_device).results == [6000]


def test_a_limit_on_the_size_of_files(clean_base: Path) -> None:
    code = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
hit(5)
say([forked(lambda: hit(3)), total()])
"""
    done = faulty(code, clean_base)
    assert done.results == [[0, 5]]
    assert done.log.splitlines() == [f"[Errno 27] File too large{ALONE}"] * 2


def test_no_descriptors_left_for_a_scrape(clean_base: Path) -> None:
    # An error is better than a total without the workers whose files could not be opened.
    code = """
import resource
from otel_obs.errors import NotSharedError
reading, writing = os.pipe()
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        hit(5)
        os.write(writing, b"x")
        signal.pause()
    pids.append(pid)
    os.read(reading, 1)
hit(1)
lowest = os.dup(0)
os.close(lowest)
results = set()
for room in range(6):
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + room, 4096))
    try:
        columns = pipeline.snapshot().columns
        results.add(sum(column.values[0] for column in columns if column.table.stream.name == "hits"))
    except NotSharedError:
        results.add("refused")
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
say([sorted(map(str, map(lambda each: int(each) if type(each) is float else each, results))), total()])
"""
    assert faulty(code, clean_base).results == [[["16", "refused"], 16]]


def test_the_run_directory_is_removed_under_a_running_service(base: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    command = (WRAPPER, *GUNICORN, "-w", "3", WSGI)
    with hurt(*command, base=base, ledger=ledger, log=tmp_path / "log") as service:
        send(service)
        service.get("/level")
        assert assert_exact(service.scrape(), ledger) == 80
        shutil.rmtree(next(base.iterdir()))
        assert service.get("/hit").status == 200
        # Each worker finds out at a scrape of its own, or within seconds, and takes its numbers along.
        until(lambda: assert_exact(service.scrape(), ledger) == 81, "everything in a new directory")
        send(service)
        for _ in range(5):
            samples = service.scrape()
            assert assert_exact(samples, ledger) == 161
            assert samples.total("took_seconds_count") == 161
            assert samples.total("level") == 1
            assert samples.total("http_requests_in_progress") == 0
        service.kill(service.workers()[0])
        assert assert_exact(service.scrape(), ledger) == 161
        said = [line for line in service.log.splitlines() if "was removed" in line]
    assert len(said) == 1
    assert list(base.iterdir()) == []


def test_no_page_is_made_without_a_worker_that_does_not_know_of_the_removal_yet(base: Path) -> None:
    # Whoever has moved knows by the removed directory's locks who has not.
    code = """
import shutil
read, write = os.pipe()
child = os.fork()
if child == 0:
    hit(5)
    os.write(write, b"1")
    while True:
        time.sleep(0.01)
os.read(read, 1)
hit(3)
os.kill(child, signal.SIGSTOP)
os.waitpid(child, os.WUNTRACED)
before = total()
base = os.environ["OTEL_OBS_RUN_DIR"]
shutil.rmtree(os.path.join(base, *os.listdir(base)))
apart = is_refused()
os.kill(child, signal.SIGCONT)
while is_refused():
    time.sleep(0.01)
now = total()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
say([before, apart, now, total()])
"""
    assert faulty(APART + code, base).results == [[8, True, 8, 8]]


@pytest.mark.parametrize("planted", ["a file", "a link"])
def test_something_is_put_where_the_directory_was(planted: str, base: Path) -> None:
    # A worker that finds no place for another file is in one that nobody finds.
    code = f"""
import glob, shutil
read, write = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(60)
    hit(5)
    os.write(write, b"1")
    while True:
        pipeline.provider.worker.settle()
        time.sleep(0.01)
os.read(read, 1)
hit(3)
before = total()
(user,) = os.listdir(os.environ["OTEL_OBS_RUN_DIR"])
(path,) = glob.glob(os.path.join(os.environ["OTEL_OBS_RUN_DIR"], user, "*"))
shutil.rmtree(path)
if {planted!r} == "a file":
    open(path, "w").close()
else:
    os.symlink("/tmp", path)
apart = set()
ends_s = time.monotonic() + 3.0
while time.monotonic() < ends_s:
    apart.add(is_refused())
    time.sleep(0.05)
os.unlink(path)
while is_refused():
    time.sleep(0.05)
now = total()
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
say([before, sorted(apart), now, total()])
"""
    assert faulty(APART + code, base).results == [[8, [True], 8, 8]]


def test_the_run_directory_is_moved_away(base: Path) -> None:
    code = """
hit(3)
bound = counter.bind({"kind": "bound"})
bound.add(1)
base = os.environ["OTEL_OBS_RUN_DIR"]
(user,) = os.listdir(base)
os.rename(os.path.join(base, user), os.path.join(base, "away"))
hit(4)
bound.add(1)
now = total()
hit(5)
bound.add(1)
child = forked(lambda: hit(6))
say([now, child, total(), os.listdir(base) == ["away"] or sorted(os.listdir(base))])
"""
    done = faulty(code, base)
    ((now, child, total, names),) = done.results
    assert (now, child, total) == (9, 0, 21)
    assert len(names) == 2
    (line,) = done.log.splitlines()
    assert " was removed; the workers that live go on in " in line


def test_nothing_can_be_put_where_the_directory_was(base: Path) -> None:
    code = """
import shutil
hit(3)
read, write = os.pipe()
child = os.fork()
base = os.environ["OTEL_OBS_RUN_DIR"]
(user,) = os.listdir(base)
if child == 0:
    # Neither before nor between the two: in between, what it finds is no file but nothing.
    while not os.path.isfile(os.path.join(base, user)):
        time.sleep(0.01)
    hit(5)
    os.write(write, b"1")
    time.sleep(30)
shutil.rmtree(os.path.join(base, user))
open(os.path.join(base, user), "w").close()
os.read(read, 1)  # before, the child has recorded nothing that a page could lack
results = []
for _ in range(3):
    hit(1)
    results.append(is_refused())
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
say([*results, total()])
"""
    done = faulty(APART + code, base)
    assert done.results == [[True, True, True, 6]]
    lines = done.log.splitlines()
    assert len(lines) <= 2, "more than once a process"
    assert {"is not a writable directory" in line for line in lines} == {True}


def plant_other_owner(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)


def plant_open(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def plant_link(path: Path) -> None:
    (path.parent / "target").mkdir(mode=0o700)
    path.symlink_to("target")


def plant_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def plant_file(path: Path) -> None:
    path.write_text("")


def plant_pipe(path: Path) -> None:
    os.mkfifo(path)


PLANTS = [plant_other_owner, plant_open, plant_link, plant_dangling_link, plant_file, plant_pipe]


@pytest.mark.parametrize("plant", PLANTS)
def test_something_is_planted_in_place_of_the_users_directory(plant, base: Path) -> None:  # type: ignore[no-untyped-def]
    if plant is plant_other_owner and os.geteuid() != 0:
        pytest.skip("needs root, who may give a directory away")
    path = base / f"otel-obs-{os.geteuid()}"
    plant(path)
    before = sorted((each.name, each.lstat().st_mode) for each in base.rglob("*"))
    done = faulty("hit(5)\nsay([forked(lambda: hit(3)), total()])\n", base)
    assert done.results == [[0, 5]]
    # Said once, not by the child again, and nothing was touched.
    (line,) = done.log.splitlines()
    assert line.startswith(f"OTEL_OBS_RUN_DIR='{base}' is not a writable directory; ")
    assert line.endswith(ALONE)
    assert sorted((each.name, each.lstat().st_mode) for each in base.rglob("*")) == before


def test_the_next_place_is_taken_where_the_first_is_occupied(tmp_path: Path) -> None:
    code = """
from otel_obs.rundir.directory import open_run_dir
first, second = sys.argv[1:]
os.symlink("/tmp", os.path.join(first, f"otel-obs-{os.geteuid()}"))
paths = {open_run_dir([first, second], "0123456789abcdef").path for _ in range(2)}
say([os.path.dirname(os.path.dirname(path)) == second for path in paths])
"""
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
    done = run(PREPARED + code, *map(str, places), env={"OTEL_OBS_RUN_DIR": str(tmp_path)})
    assert done.results == [[True]]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o027])
def test_directories_and_files_are_private_whatever_the_umask(umask: int, clean_base: Path) -> None:
    code = f"""
os.umask({umask})
hit(1)
forked(lambda: hit(1))
total()
found = []
for path, directories, names in os.walk(os.environ["OTEL_OBS_RUN_DIR"]):
    for name in directories + names:
        found.append([name == "members", oct(os.lstat(os.path.join(path, name)).st_mode & 0o777)])
say(sorted(set(map(tuple, found))))
"""
    done = faulty(code, clean_base)
    # members holds nothing, and lies in a directory that is private.
    assert done.results == [[[False, "0o600"], [False, "0o700"], [True, "0o644"]]]


def test_two_workers_start_at_once_while_others_leave(clean_base: Path) -> None:
    # The last one out removes what the next one in is about to join.
    program = PREPARED + "hit(1); say(total())"
    code = f"""
import os, subprocess, sys
from tests.faults.worker import say
from concurrent.futures import ThreadPoolExecutor
def one(_):
    done = subprocess.run(
        [sys.executable, "-c", {program!r}], capture_output=True, text=True,
        env={{**os.environ, "PYTHONPATH": os.getcwd()}},
    )
    return done.stdout.strip() + done.stderr.strip()
with ThreadPoolExecutor(6) as pool:
    say(sorted(set(pool.map(one, range(18)))))
"""
    done = run(code, env={"OTEL_OBS_RUN_DIR": str(clean_base)}, timeout_s=240)
    assert done.results == [["1.0"]]


def test_one_service_is_joined_and_left_at_once(clean_base: Path) -> None:
    code = """
from otel_obs.rundir.directory import open_run_dir
from otel_obs.rundir.tidying import leave, sweep
base = os.environ["OTEL_OBS_RUN_DIR"]
def churn():
    for _ in range(60):
        leave([open_run_dir([base], "0123456789abcdef")])
        sweep([base])
pids = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        try:
            churn()
            os._exit(0)
        finally:
            os._exit(1)
    pids.append(pid)
say([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids])
"""
    assert faulty(code, clean_base).results == [[0] * 6]
