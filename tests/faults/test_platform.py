"""A platform without what files shared by workers need, such as Windows: one process works all the same."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.support.ports import free_port
from tests.support.programs import Finished, run

# Hidden after the standard library has found what it needs itself, and before anything of ours is imported.
HIDDEN = """
import asyncio, concurrent.futures, logging.config, mmap, multiprocessing, os, random, socketserver
import subprocess, sys, tempfile, threading, urllib.request, uuid, http.server, ssl, selectors, shutil
import psutil  # which reads none of this on Windows
for name in ("fcntl", "grp", "pwd", "resource", "termios", "posix", "syslog", "_posixshmem"):
    sys.modules[name] = None
for name in (
    "fork", "forkpty", "register_at_fork", "posix_fallocate", "pread", "pwrite", "preadv", "pwritev", "posix_fadvise",
    "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "geteuid", "getuid", "getegid", "getgid", "getsid",
    "getpgid", "fchmod", "fchown", "chown", "lchown", "mkfifo", "mknod", "setsid", "setuid", "waitstatus_to_exitcode_",
    "sched_getaffinity", "sysconf", "uname", "kill_", "killpg", "getloadavg", "statvfs", "nice", "sync", "eventfd",
):
    if hasattr(os, name):
        delattr(os, name)
for name in ("MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_ANON", "MAP_SHARED"):
    delattr(mmap, name)
"""
SAID = (
    "this platform has no shared files with locks; metrics of this process are not merged with those of "
    "other workers"
)


def windows(code: str) -> Finished:
    """Run a program as if on Windows."""
    return run(dedent(HIDDEN) + dedent(code))


def test_recording_and_scraping_in_one_process() -> None:
    done = windows("""
        from tests.faults.worker import *
        gauge = metrics.get_meter("faults").create_gauge("level")
        histogram = metrics.get_meter("faults").create_histogram("took")
        hit(5)
        hit(2, kind="other")
        bound = counter.bind({"kind": "bound"})
        bound.add(1); bound.add(1)
        gauge.set(3)
        histogram.record(0.5)
        say([total(), family("level"), family("took_count"), family("otel_obs_workers")])
        say(family("otel_obs_worker_files_skipped_total"))
        """)
    assert done.results == [[9, 3, 1, 1], 0]
    assert done.log.splitlines() == [SAID]


def test_threads_record_and_scrape() -> None:
    done = windows("""
        from tests.faults.worker import *
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: hit(100, kind=str(number % 5)), range(60)))
            list(pool.map(lambda number: total(), range(6)))
        say(total())
        """)
    assert done.results == [6000]


@pytest.mark.parametrize("module", ["flask", "fastapi"])
def test_an_application_is_served(module: str) -> None:
    pytest.importorskip(module)
    application = {
        "flask": """
            from flask import Flask
            app = Flask("shop")
            app.get("/items/<number>")(lambda number: number)
            otel_obs.instrument(app)
            ask = app.test_client().get
            """,
        "fastapi": """
            from fastapi import FastAPI
            from fastapi.testclient import TestClient
            app = FastAPI()
            @app.get("/items/{number}")
            def item(number: str) -> str:
                return number
            otel_obs.instrument(app)
            ask = TestClient(app).get
            """,
    }[module]
    route = {"flask": "/items/<number>", "fastapi": "/items/{number}"}[module]
    done = windows(f"""
        import otel_obs
        otel_obs.configure()
        {dedent(application).strip().replace(chr(10), chr(10) + " " * 8)}
        from tests.support.samples import parse_samples
        for number in range(4):
            assert ask(f"/items/{{number}}").status_code == 200
        samples = parse_samples(ask("/metrics").text)
        print(int(samples.value("http_requests_total", method="GET", endpoint={route!r}, status_code="200")))
        print(int(samples.total("process_resident_memory_bytes") > 0))
        """)
    assert done.lines == ["4", "1"]
    assert [line for line in done.log.splitlines() if "merged" in line] == [SAID]


def test_the_metrics_server_of_its_own() -> None:
    port = free_port()
    done = windows(f"""
        import os
        from tests.support.waiting import until
        from tests.support.web import request
        os.environ["OTEL_EXPORTER_PROMETHEUS_PORT"] = "{port}"
        os.environ["OTEL_EXPORTER_PROMETHEUS_HOST"] = "127.0.0.1"
        from tests.faults.worker import *
        hit(4)
        answer = until(lambda: request(f"http://127.0.0.1:{port}/metrics"), "an answer")
        say(parse_samples(answer.text).total("hits_total"))
        otel_obs.shutdown()
        """)
    assert done.results == [4]


def test_every_module_can_be_imported() -> None:
    done = windows("""
        import importlib, pkgutil
        import otel_obs
        failed = []
        for module in pkgutil.walk_packages(otel_obs.__path__, "otel_obs."):
            try:
                importlib.import_module(module.name)
            except Exception as error:
                failed.append([module.name, repr(error)])
        print(failed)
        """)
    assert done.lines == ["[]"]


def test_the_wrapper_sets_it_up() -> None:
    done = windows("""
        import os
        os.environ["OTEL_PYTHON_DISTRO"] = os.environ["OTEL_PYTHON_CONFIGURATOR"] = "otel_obs"
        from opentelemetry.instrumentation.auto_instrumentation import initialize
        initialize()
        from opentelemetry import metrics
        metrics.get_meter("shop").create_counter("orders").add(2)
        import otel_obs
        print([line for line in otel_obs.get_metrics()[0].decode().splitlines() if line.startswith("orders")])
        """)
    assert done.lines == ["['orders_total 2.0']"] or done.lines == ["['orders_total 2']"]
    assert [line for line in done.log.splitlines() if "merged" in line] == [SAID]
