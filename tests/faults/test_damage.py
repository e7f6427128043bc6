"""Damaged files: a scrape answers, leaves out what cannot be read, counts it, and nothing crashes."""

from __future__ import annotations

from pathlib import Path

from otel_obs.cells.layout import HEADER_BYTES
from tests.support.programs import run

PREPARED = """
import random, signal, sys
from tests.faults.worker import *
from otel_obs.cells.layout import COMMIT_AT, HEADER_BYTES, unpack_commit
view = pipeline._view

def worker():
    hit(7, kind="victim")
    for number in range(20):
        hit(1, kind=f"series {number}")

reading, writing = os.pipe()
pid = os.fork()
if pid == 0:  # a live worker, which does not record any more
    worker()
    os.write(writing, b"x")
    signal.pause()
    os._exit(0)
os.read(reading, 1)
hit(1, kind="own")
(path,) = [
    os.path.join(directory, name)
    for directory, _, names in os.walk(os.environ["OTEL_OBS_RUN_DIR"])
    for name in names
    if name.endswith(".cells") and pipeline.provider.worker.id.hex() not in name
]
whole = open(path, "rb").read(1 << 20)
index_end = HEADER_BYTES + unpack_commit(int.from_bytes(whole[COMMIT_AT : COMMIT_AT + 8], "little"))

def scrape():
    # Whoever looks for the first time opens the file for the first time, and nobody has marked it.
    view._reset()
    for name in os.listdir(os.path.dirname(path)):
        if name.endswith(".skipped"):
            os.unlink(os.path.join(os.path.dirname(path), name))
    return total(kind="own"), total(), family("otel_obs_worker_files_skipped_total")
"""


def faulty(code: str, base: Path, *arguments: str) -> list[object]:
    ending = "\nos.kill(pid, signal.SIGKILL)\nos.waitpid(pid, 0)\n"
    done = run(PREPARED + code + ending, *arguments, env={"OTEL_OBS_RUN_DIR": str(base)}, timeout_s=240)
    return done.results


def test_any_byte_of_header_and_index_is_flipped(clean_base: Path, is_long: bool) -> None:
    code = """
step = int(sys.argv[1])
said = 0
bad = []
fixed = 76  # the header's fields and their checksum
places = [*range(fixed), *range(COMMIT_AT, COMMIT_AT + 8), *range(HEADER_BYTES, index_end, step)]
for at in places:
    with open(path, "r+b") as file:
        for flipped in (whole[at] ^ 1, whole[at] ^ 0x80, whole[at] ^ 0xFF):
            file.seek(at)
            file.write(bytes([flipped]))
            file.flush()
            own, everything, skipped = scrape()
            if own != 1 or everything > 28 or skipped != 1:
                bad.append([at, own, everything, skipped])
        file.seek(at)
        file.write(whole[at : at + 1])
say(bad)
say(scrape())
say([len(places) > 100])
"""
    # A padding byte of a record is nobody's: no harm is done, and none is noticed.
    bad, after, many = faulty(code, clean_base, "1" if is_long else "17")
    assert [each for each in bad if each[1:] != [1, 28, 0]] == []  # type: ignore[attr-defined]
    assert len(bad) < 0.15 * 3 * 2000  # type: ignore[arg-type]
    assert after == [1, 28, 0]
    assert many == [True]


def test_a_file_is_cut_at_any_length(clean_base: Path, is_long: bool) -> None:
    code = """
import shutil
shutil.copy(path, path + ".kept")
size = os.path.getsize(path)
cells_at = HEADER_BYTES + (24 << 20)
lengths = [*range(0, HEADER_BYTES, 61), *range(HEADER_BYTES, index_end, int(sys.argv[1])),
           index_end, cells_at - 1, cells_at, cells_at + 1, cells_at + 8, cells_at + 100, cells_at + 168]
bad = []
for length in lengths:
    # In place, as a process that is mapped to it would see it; the worker does not touch it.
    os.truncate(path, length)
    own, everything, skipped = scrape()
    if own != 1 or everything > 28 or skipped != 1:
        bad.append([length, own, everything, skipped])
    os.truncate(path, size)
    with open(path, "r+b") as file, open(path + ".kept", "rb") as kept:
        file.write(kept.read(index_end))
        kept.seek(cells_at); file.seek(cells_at)
        file.write(kept.read(4096))
os.unlink(path + ".kept")
say(bad)
say(scrape())
"""
    bad, after = faulty(code, clean_base, "1" if is_long else "23")
    # Cells behind the cut that are all in use are missed; there are 21 of 8 bytes.
    assert bad == [[(HEADER_BYTES + (24 << 20)) + 168, 1, 28, 0]]
    assert after == [1, 28, 0]


def test_random_bytes_in_place_of_a_file(clean_base: Path) -> None:
    code = """
chance = random.Random(7)
bad = []
for _ in range(150):
    with open(path, "r+b") as file:
        for _ in range(chance.randrange(1, 40)):
            file.seek(chance.randrange(index_end))
            file.write(chance.randbytes(chance.randrange(1, 64)))
    own, everything, skipped = scrape()
    if own != 1 or everything > 28:
        bad.append([own, everything, skipped])
    with open(path, "r+b") as file:
        file.write(whole[:index_end])
say(bad)
say(scrape())
"""
    assert faulty(code, clean_base) == [[], [1, 28, 0]]


def test_a_dead_workers_damaged_file_gives_its_valid_beginning(clean_base: Path) -> None:
    code = """
with open(path, "r+b") as file:
    file.seek(index_end - 20)
    file.write(b"damaged")
before = scrape()
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
say([before, scrape(), total(), os.path.exists(path), family("otel_obs_worker_files_skipped_total")])
pid = os.fork()
if pid == 0: signal.pause()
"""
    # The last series is lost, the rest is kept; it is counted while it is there, and once.
    assert faulty(code, clean_base) == [[[1, 27, 1], [1, 27, 1], 27, False, 1]]


def test_every_worker_counts_the_same_damaged_files_also_when_they_are_gone(clean_base: Path) -> None:
    code = """
def skipped():
    say([os.getpid() != first, family("otel_obs_worker_files_skipped_total")])
first = os.getpid()
with open(path, "r+b") as file:
    file.write(b"damaged")
forked(skipped)
forked(skipped)
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
skipped()
os.unlink(path)
forked(skipped)
skipped()
pid = os.fork()
if pid == 0: signal.pause()
"""
    assert faulty(code, clean_base) == [[True, 1], [True, 1], [False, 1], [True, 1], [False, 1]]


def test_a_damaged_file_is_logged_once(clean_base: Path) -> None:
    code = """
with open(path, "r+b") as file:
    file.write(b"damaged")
for _ in range(5):
    total()
forked(total)
"""
    ending = "\nos.kill(pid, signal.SIGKILL)\nos.waitpid(pid, 0)\n"
    done = run(PREPARED + code + ending, env={"OTEL_OBS_RUN_DIR": str(clean_base)})
    (line,) = done.log.splitlines()
    assert line.startswith("skipped what cannot be read of worker file ")
    assert line.endswith(".cells: its header is damaged or of another version")


def test_a_damaged_retired_store_is_skipped_and_counted(clean_base: Path) -> None:
    code = """
forked(lambda: hit(5, kind="dead"))
assert total() == 33
total()
retired = os.path.join(os.path.dirname(path), "retired")
kept = open(retired, "rb").read(1 << 16)
results = []
for at in (3, 20, COMMIT_AT + 1, HEADER_BYTES + 9):
    with open(retired, "r+b") as file:
        file.seek(at)
        file.write(b"\\xff\\xfe")
        file.flush()
        results.append(scrape())
        file.seek(0)
        file.write(kept)
say(results)
say(scrape())
"""
    assert faulty(code, clean_base) == [[[1, 28, 1]] * 4, [1, 33, 0]]


def test_foreign_files_in_the_run_directory(clean_base: Path) -> None:
    code = """
directory = os.path.dirname(path)
os.mkdir(os.path.join(directory, "a directory.cells"))
os.symlink("/etc/passwd", os.path.join(directory, "link.cells"))
os.mkfifo(os.path.join(directory, "pipe.cells"))
open(os.path.join(directory, "empty.cells"), "w").close()
open(os.path.join(directory, "no worker's.txt"), "w").close()
say(scrape())
os.rmdir(os.path.join(directory, "a directory.cells"))
"""
    assert faulty(code, clean_base) == [[1, 28, 4]]
