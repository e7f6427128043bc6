"""Everything at once against the compiled paths, for a sanitizer: `python -m tests.compiled.fuzz SECONDS`.

Threads record through every road while others fork, collect garbage, remove series, move the store, shut
down, set up anew, delete files, switch the compiled paths off and on, and give keys that change what is being
read; signal handlers raise in the middle. What it asserts is little: a sanitizer, or the kernel, ends the
process where memory is touched that is gone; and a last, quiet count must be exact.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from opentelemetry.context import attach, detach, set_value

from otel_obs import compiled
from otel_obs.cells.membership import Service
from otel_obs.cells.worker import Worker
from otel_obs.sdk import MeterProvider
from otel_obs.sdk.fused import beginning, end_of

VERBS = ("add", "add", "set", "record")


class LateError(Exception):
    """What a signal handler raises."""


class Scene:
    """One provider after another, with its instruments and handles."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.number = 0
        self.begin()

    def begin(self) -> None:
        self.number += 1
        directory = os.path.join(self.base, str(self.number))
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        service = Service([directory], "0" * 16)
        self.provider = MeterProvider(
            worker=Worker(service.open_store, service), shutdown_on_exit=False, cardinality_limit=40
        )
        meter: Any = self.provider.get_meter("m")
        bounds: dict[str, Any] = {"explicit_bucket_boundaries_advisory": (1.0, 2.0, 5.0)}
        self.instruments = (
            meter.create_counter("c"),
            meter.create_up_down_counter("u"),
            meter.create_gauge("g"),
            meter.create_histogram("h", **bounds),
        )
        self.shared: dict[Any, Any] = {"a": "x", "b": 1}
        self.handles = [each.bind({"k": "v"}) for each in self.instruments]
        self.start = beginning(self.handles[1].add)
        self.end = end_of(self.handles[1].add, self.handles[0].add, self.handles[3].record)


class Hostile(str):
    """A key that changes everything as it is hashed, compared, or written."""

    __slots__ = ()
    scene: Scene

    def _strike(self) -> None:
        chance = random.random()
        if chance < 0.3:
            self.scene.shared.clear()
        elif chance < 0.6:
            self.scene.shared.update({str(random.random()): Hostile("v") for _ in range(9)})
        elif chance < 0.7:
            gc.collect()
        elif chance < 0.8:
            self.scene.instruments[0].remove({"a": "x"})
        elif chance < 0.9:
            self.scene.instruments[0].add(1, {"n": str(chance)})

    def __hash__(self) -> int:
        self._strike()
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        self._strike()
        return str.__eq__(self, other)

    def __str__(self) -> str:
        self._strike()
        return "hostile"


class Likes(dict[Any, Any]):
    """A mapping that hides what it has."""

    def __iter__(self) -> Any:
        self.pop("a", None)
        return super().__iter__()

    def values(self) -> Any:
        self["late"] = "x"
        return super().values()


def attributes_of(scene: Scene, chance: random.Random) -> Any:
    kind = chance.randrange(9)
    if kind < 3:
        return {"a": chance.choice("xyz"), "b": chance.choice(("x", 1, 1.0, True, 2**70))}
    return (
        scene.shared,
        None,
        {Hostile("a"): "x"},
        {"a": Hostile("x")},
        Likes(a="x"),
        OrderedDict(a="x"),
    )[kind - 3]


def record(scene: Scene, chance: random.Random) -> None:
    at = chance.randrange(4)
    instrument, verb = scene.instruments[at], VERBS[at]
    amount = chance.choice((1, 2.5, 0, -1, True, float("nan"), 2**1100, "x", None))
    way = chance.randrange(8)
    if way < 3:
        getattr(instrument, verb)(amount, attributes_of(scene, chance))
    elif way == 3:
        getattr(scene.handles[at], verb)(amount)
    elif way == 4:
        getattr(instrument.bind({"k": chance.choice("vwx")}), verb)(amount)
    elif way == 5:
        getattr(instrument.labels(k=chance.choice("vwx")), verb)(amount)
    elif way == 6:
        scene.start(1.0)
        scene.end(2.5)
    else:
        token = attach(set_value("something", amount))
        getattr(instrument, verb)(1, scene.shared)
        detach(token)


def disturb(scene: Scene, chance: random.Random, is_calm: bool) -> None:
    worker = scene.provider.worker
    what = chance.randrange(9)
    if what == 0:
        gc.collect()
    elif what == 1:
        scene.instruments[chance.randrange(4)].remove(attributes_of(scene, chance))
    elif what == 2 and worker.opened is not None:
        store = worker.opened
        worker.exclusively(lambda: worker._move(store))
    elif what == 3:
        scene.provider.shutdown()
        worker.close()
        scene.begin()
    elif what == 4:
        for root, _, files in os.walk(scene.directory):
            for name in files:
                with contextlib.suppress(OSError):
                    (os.remove if chance.random() < 0.7 else truncate)(os.path.join(root, name))
        worker.settle()
    elif what == 5:
        compiled.choose(chance.random() < 0.3)
        compiled.choose(True)
    elif what == 6:
        cycle: list[Any] = [scene.handles[0], scene.end, worker.opened and worker.opened.cells]
        cycle.append(cycle)
        weakref.finalize(Finalised(scene), lambda: None)
        del cycle
    elif what == 7 and not is_calm:
        fork(scene, chance)
    elif what == 8:
        scene.instruments[chance.randrange(4)].recompile()


def truncate(path: str) -> None:
    """Not to nothing: a map of what is gone is a signal, in Python as in C."""
    os.utime(path)


class Finalised:
    """Records as it ends, within a cycle."""

    def __init__(self, scene: Scene) -> None:
        self.itself, self.scene = self, scene

    def __del__(self) -> None:
        for handle, verb in zip(self.scene.handles, VERBS, strict=True):
            getattr(handle, verb)(1.0)


def fork(scene: Scene, chance: random.Random) -> None:
    child = os.fork()
    if child:
        if chance.random() < 0.5:
            time.sleep(0.002)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert not os.WIFSIGNALED(status) or os.WTERMSIG(status) == signal.SIGKILL, status
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    for _ in range(50):
        with contextlib.suppress(LateError):
            record(scene, chance)
    os._exit(0)


def late(number: int, frame: Any) -> None:
    """Raise, but not into what is around the fuzz."""
    while frame is not None:
        if frame.f_code is keep_on.__code__:
            raise LateError
        frame = frame.f_back


def keep_on(work: Callable[[], None], until_s: float, errors: list[BaseException]) -> None:
    while time.monotonic() < until_s:
        try:
            work()
        except (
            LateError,
            ValueError,
            KeyError,
            RuntimeError,
            AttributeError,
            TypeError,
            OSError,
            BufferError,
        ):
            pass  # odd labels raise, and what a test takes away is missed: memory is what this is about
        except BaseException as error:
            errors.append(error)
            return


def count_exactly() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    counter: Any = provider.get_meter("m").create_counter("c")
    for number in range(3_000):
        counter.add(1, {"n": str(number % 30)})
    store = provider.worker.store()
    assert sum(store.cells[: store.used_cells]) == 3_000


def main(arguments: list[str]) -> None:
    is_calm = "--calm" in arguments
    seconds = float(next((each for each in arguments if not each.startswith("-")), "60"))
    assert compiled.is_used, compiled.reason
    base = tempfile.mkdtemp()
    scene = Hostile.scene = Scene(base)
    seed = int(time.time())
    print(f"seed {seed}", flush=True)
    chance = random.Random(seed)
    errors: list[BaseException] = []
    until_s = time.monotonic() + seconds
    sys.setswitchinterval(1e-5)
    threads = [
        threading.Thread(target=keep_on, args=(work, until_s, errors))
        for work in (
            lambda: record(scene, random.Random(random.random())),
            lambda: record(scene, random.Random(random.random())),
            lambda: (
                scene.shared.update(a=random.choice("xy")) if random.random() < 0.9 else scene.shared.clear()
            ),
        )
    ]
    if not is_calm:
        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    for thread in threads:
        thread.start()

    def work() -> None:
        if chance.random() < 0.05:
            disturb(scene, chance, is_calm)
        else:
            record(scene, chance)

    while time.monotonic() < until_s:
        with contextlib.suppress(LateError):
            keep_on(work, until_s, errors)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    for thread in threads:
        thread.join()
    count_exactly()
    print(f"{scene.number} scenes, errors: {errors}")
    shutil.rmtree(base, ignore_errors=True)
    assert not errors


if __name__ == "__main__":
    # Log lines of what is dropped are not what this is about.
    import logging

    logging.disable()
    sys.unraisablehook = lambda _: None  # what is raised in finalisers has nowhere to go
    main(sys.argv[1:])
