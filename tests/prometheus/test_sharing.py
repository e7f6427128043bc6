"""Registries that the service shows: each has a name of its own, which every worker gives it too."""

from __future__ import annotations

import gc
import sys
import threading

from prometheus_client import CollectorRegistry

from otel_obs.prometheus import share
from otel_obs.prometheus._registry_names import shared_name


def test_registries_that_threads_share_at_once_have_names_of_their_own() -> None:
    threads, rounds = 4, 100
    begin = threading.Barrier(threads)
    names: list[str | None] = []
    interval_s = sys.getswitchinterval()

    def work() -> None:
        for _ in range(rounds):
            begin.wait()
            registry = share(CollectorRegistry())
            name = shared_name(registry)
            begin.wait()  # all are alive
            names.append(name)

    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert all(len(set(names[at : at + threads])) == threads for at in range(0, len(names), threads))


def test_a_registry_that_is_gone_gives_its_name_back() -> None:
    names = []
    for _ in range(3):
        names.append(shared_name(share(CollectorRegistry())))
        gc.collect()
    assert len(set(names)) == 1
