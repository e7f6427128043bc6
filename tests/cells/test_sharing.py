"""Numbers that cannot be shared for a while: nobody tells another truth, and they come back."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_obs.cells.membership import Service
from otel_obs.cells.view import MergedView
from otel_obs.cells.worker import Worker
from otel_obs.errors import NotSharedError
from otel_obs.rundir.apart import Apart, register, registered, slot_of
from otel_obs.rundir.directory import user_path_of
from otel_obs.sdk import MeterProvider
from otel_obs.serving.scrape import Scrape, ScrapeRequest, run_steps

NONCE = "0123456789abcdef"


class Member:
    """One worker of a service, which counts orders and is scraped."""

    def __init__(self, bases: list[str]) -> None:
        self.service = Service(bases, NONCE)
        self.worker = Worker(self.service.open_store, self.service)
        self.provider = MeterProvider(worker=self.worker, shutdown_on_exit=False)
        self.orders: Any = self.provider.get_meter("shop").create_counter("orders")
        self.view = MergedView(self.worker, self.service.run_dir)

    def total(self) -> float:
        return float(
            sum(
                sum(column.values)
                for column in self.view.snapshot().columns
                if column.table.stream.name == "orders"
            )
        )

    def retry(self) -> None:
        """What happens a moment later on the worker's own thread."""
        self.service._placing._next_s = self.service._placing._join_s = 0.0
        self.worker.settle()

    @property
    def path(self) -> str:
        run_dir, name, _ = self.service._placing._file or pytest.fail("it has no file")
        return os.path.join(run_dir.path, name)


@pytest.fixture
def bases(tmp_path: Path) -> list[str]:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    return [str(tmp_path / "first"), str(tmp_path / "second")]


@pytest.fixture
def pair(bases: list[str]) -> Iterator[tuple[Member, Member]]:
    members = Member(bases), Member(bases)
    yield members
    for member in members:
        store = member.worker.opened
        if store is not None:
            store.discard()
        member.service.close()


class Full:
    """Makes file systems full, as `posix_fallocate` tells it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bases: tuple[str, ...] = ()
        allocate = os.posix_fallocate

        def refused(descriptor: int, start: int, length: int) -> None:
            if os.readlink(f"/proc/self/fd/{descriptor}").startswith(self.bases or ("nowhere",)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            allocate(descriptor, start, length)

        monkeypatch.setattr(os, "posix_fallocate", refused)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    return Full(monkeypatch)


@pytest.fixture
def without_descriptors() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def do(what: Callable[[], Any]) -> Any:
        # One is free: `listdir` is asked for names, and nothing else is open meanwhile.
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            return what()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    yield do
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_where_one_base_is_full_the_next_one_holds_the_file_and_every_worker_reads_both(
    pair: tuple[Member, Member], bases: list[str], full: Full
) -> None:
    left, right = pair
    left.orders.add(1)
    full.bases = (bases[0],)
    right.orders.add(2)
    assert left.path.startswith(bases[0])
    assert right.path.startswith(bases[1])
    assert [left.total(), right.total()] == [3, 3]
    full.bases = ()
    right.orders.add(4, {"new": "series"})
    assert [left.total(), right.total()] == [7, 7]


def test_where_every_base_is_full_no_worker_tells_another_truth_and_the_numbers_come_along(
    pair: tuple[Member, Member], bases: list[str], full: Full
) -> None:
    left, right = pair
    left.orders.add(1)
    full.bases = tuple(bases)
    right.orders.add(2)
    with pytest.raises(NotSharedError, match="what this process has counted is in its own memory"):
        right.total()
    full.bases = ()
    right.retry()
    right.orders.add(4)
    assert [left.total(), right.total()] == [7, 7]


def test_a_file_system_that_fills_up_later_moves_the_worker_with_all_its_series(
    pair: tuple[Member, Member], bases: list[str], full: Full, caplog: pytest.LogCaptureFixture
) -> None:
    left, right = pair
    left.orders.add(1)
    right.orders.add(1)
    full.bases = tuple(bases)
    for number in range(1900):
        right.orders.add(1, {"number": number})
    stores = [right.worker.spare_opened is not None]
    with pytest.raises(NotSharedError):
        right.total()
    full.bases = (bases[0],)
    right.retry()
    stores.append(right.worker.spare_opened is not None)
    assert stores == [True, False]
    for number in range(1900):
        right.orders.add(1, {"number": number})
    assert [left.total(), right.total()] == [3802, 3802]
    assert right.path.startswith(bases[1])
    assert len([each for each in caplog.messages if "not merged" in each]) == 1


def test_without_descriptors_it_is_tried_again(
    pair: tuple[Member, Member], without_descriptors: Callable[[Callable[[], Any]], Any]
) -> None:
    left, right = pair
    left.orders.add(1)
    without_descriptors(lambda: [right.orders.add(1, {"number": number}) for number in range(9)])
    with pytest.raises(NotSharedError):
        right.total()
    with pytest.raises(NotSharedError):
        without_descriptors(left.total)
    right.retry()
    assert [left.total(), right.total()] == [10, 10]


def test_a_worker_whose_file_is_taken_away_moves_and_until_then_nobody_leaves_it_out(
    pair: tuple[Member, Member], bases: list[str]
) -> None:
    left, right = pair
    left.orders.add(1)
    right.orders.add(2)
    os.unlink(right.path)
    with pytest.raises(NotSharedError, match="1 workers"):
        left.total()
    right.orders.add(4)
    right.retry()
    assert [left.total(), right.total()] == [7, 7]


def test_who_has_a_file_open_reads_it_until_its_worker_has_moved(pair: tuple[Member, Member]) -> None:
    left, right = pair
    left.orders.add(1)
    right.orders.add(2)
    assert left.total() == 3
    os.unlink(right.path)
    right.orders.add(4)
    assert left.total() == 7
    right.retry()
    right.orders.add(8)
    assert [left.total(), right.total()] == [15, 15]


def test_a_members_file_that_is_taken_away_is_made_anew(
    bases: list[str], pair: tuple[Member, Member]
) -> None:
    left, right = pair
    left.orders.add(1)
    os.unlink(os.path.join(os.path.dirname(left.path), "members"))
    right.orders.add(2)
    assert os.path.dirname(left.path) == os.path.dirname(right.path)
    assert [left.total(), right.total()] == [3, 3]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory to somebody else")
@pytest.mark.parametrize("is_late", [False, True])
def test_a_directory_that_another_user_has_planted(is_late: bool, bases: list[str]) -> None:
    planted = user_path_of(bases[0])
    members = []
    if not is_late:
        os.mkdir(planted)
        os.chown(planted, 65534, 65534)
    for amount in (1, 2):
        members.append(Member(bases))
        members[-1].orders.add(amount)
        if is_late and not os.path.lexists(f"{planted}.kept"):
            os.rename(planted, f"{planted}.kept")
            os.mkdir(planted)
            os.chown(planted, 65534, 65534)
    for member in members:
        member.retry()
    assert [member.total() for member in members] == [3, 3]
    for member in members:
        assert member.path.startswith(bases[1])
        assert member.worker.opened is not None
        member.worker.opened.discard()
        member.service.close()


def test_a_mark_counts_as_long_as_its_process_lives(pair: tuple[Member, Member], bases: list[str]) -> None:
    left, _ = pair
    left.orders.add(1)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        Apart(bases, NONCE, b"x" * 16)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    while not any(name.startswith(".apart") for name in os.listdir(user_path_of(bases[0]))):
        os.sched_yield()
    with pytest.raises(NotSharedError, match=f"what processes {pid} have counted is in their own memory"):
        left.total()
    os.close(writing)
    os.waitpid(pid, 0)
    assert left.total() == 1
    assert not any(name.startswith(".apart") for name in os.listdir(user_path_of(bases[0])))


def test_seats_are_found_wherever_they_are_and_go_with_their_worker(pair: tuple[Member, Member]) -> None:
    left, _ = pair
    left.orders.add(1)
    run_dir = left.service.run_dir()
    assert run_dir is not None
    workers = [os.urandom(16) for _ in range(200)]
    seats = [register(run_dir, worker) for worker in workers]
    expected = {slot_of(worker) for worker in (*workers, left.worker.id)}
    assert registered(run_dir) == expected
    for seat in seats[:100]:
        assert seat is not None
        seat.close()
    assert registered(run_dir) == expected - {slot_of(worker) for worker in workers[:100]}
    for seat in seats[100:]:
        assert seat is not None
        seat.close()


def test_a_worker_that_has_moved_is_still_missed_when_its_file_is_taken_away(
    pair: tuple[Member, Member],
) -> None:
    left, right = pair
    left.orders.add(1)
    right.orders.add(2)
    worker, run_dir = left.worker, left.service.run_dir()
    assert run_dir is not None
    for _ in range(2):
        # As to a larger file, when there is no room left.
        store = worker.store()
        worker.exclusively(lambda store=store: worker._move(store))  # type: ignore[misc]
        assert slot_of(worker.id) in registered(run_dir)
        assert right.total() == 3
    os.unlink(left.path)
    right.view.close()  # which has the file open
    with pytest.raises(NotSharedError):
        right.total()


def test_alone_a_process_shows_what_it_has_without_any_directory(tmp_path: Path) -> None:
    member = Member([str(tmp_path / "is not there")])
    member.orders.add(3)
    assert member.total() == 3
    member.service.close()


def test_a_scrape_is_answered_with_503_and_the_reason() -> None:
    class Split:
        def collect(self, accept: str, names: Any) -> Any:
            raise NotSharedError("because")

    answer = run_steps(Scrape(Split()).steps(ScrapeRequest("GET")))
    assert answer.status == 503
    assert answer.parts == [b"numbers of workers cannot be read together: because\n"]


def test_the_limit_of_series_holds_over_the_lives_of_workers_and_nothing_is_told_twice(
    pair: tuple[Member, Member], bases: list[str]
) -> None:
    reader, first = pair

    def series() -> dict[Any, float]:
        return {
            attributes: value
            for column in reader.view.snapshot().columns
            if column.table.stream.name == "orders"
            for attributes, value in zip(column.table.attributes, column.values, strict=True)
        }

    def live_and_die(member: Member, user: str) -> None:
        member.worker.settle()
        for number in range(3000):
            member.orders.add(1, {"user": f"{user}{number}"})
        store = member.worker.opened
        before = series()
        assert store is not None
        store.discard()
        for _ in range(2):
            after = series()
            # Each series goes on where it was: no increase, and none is gone.
            assert after == before
        member.service.close()

    live_and_die(first, "a")
    for life in range(1, 4):
        live_and_die(Member(bases), f"{life}-")
        found = series()
        assert len(found) == 2000
        assert sum(found.values()) == 3000 * (life + 1)
    member = Member(bases)
    member.worker.settle()
    member.orders.add(5, {"user": "a7"})
    assert series()[("user", "a7"),] == 6
    store = member.worker.opened
    assert store is not None
    store.discard()
    member.service.close()


def test_a_pipe_in_place_of_the_members_file_of_another_service_is_not_waited_for(bases: list[str]) -> None:
    other = os.path.join(user_path_of(bases[0]), "f" * 16)
    os.makedirs(other, 0o700)
    os.chmod(user_path_of(bases[0]), 0o700)
    os.mkfifo(os.path.join(other, "members"))
    member = Member(bases)
    member.orders.add(1)
    assert member.total() == 1
    store = member.worker.opened
    assert store is not None
    store.discard()
    member.service.close()
