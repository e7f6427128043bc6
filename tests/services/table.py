"""What is combined: servers, ways in, situations of the first process, and what happens to a service."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.services import opened
from tests.support.processes import tool

WSGI, ASGI = "tests.services.apps.counted_wsgi:app", "tests.services.apps.counted_asgi:app"
GUNICORN = (tool("gunicorn"), "-b", "127.0.0.1:{port}", "--pid", "{dir}/pid", "--no-control-socket")
UVICORN = (tool("uvicorn"), "--port", "{port}", "--log-level", "warning")
PATIENT = ("--timeout-worker-healthcheck", "30")
"""A busy machine is no fault of a worker. For a worker that is killed while uvicorn asks it for its health,
uvicorn waits this long before it starts another, so this is well below what `life.CALM_S` allows."""
PROGRAM = (sys.executable, "-m", "tests.services.apps.processes")
SUPERVISOR = (sys.executable, "-m", "tests.services.apps.supervisor", "{ports}")
UWSGI = (
    *(tool("uwsgi"), "--http-socket", "127.0.0.1:{port}", "--master", "--processes", "2", "--die-on-term"),
    # A worker that is loading the application, for seconds on a busy machine, does not end meanwhile.
    *("--worker-reload-mercy", "10"),
    *("--virtualenv", sys.prefix, "--pythonpath", ".", "--disable-logging", "--need-app", "--enable-threads"),
    *("--module", WSGI),
)
GRANIAN = (
    tool("granian"),
    "--port",
    "{port}",
    "--no-log",
    "--respawn-failed-workers",
    "--respawn-interval",
    "0.1",
)


class Server(NamedTuple):
    """A way to serve.

    Attributes:
        name: How it is called here.
        family: How it makes its workers.
        command: Its command; `{port}`, `{ports}`, `{dir}` and, where the wrapper is to be elsewhere than in
            front, `{wrapper}` are filled in.
        events: What can be done to it, in this order.
        workers: How many there are at first; 0 where they cannot be counted as children of the master.
        needs: A module without which it is left out.
        env: Its variables.
    """

    name: str
    family: str
    command: tuple[str, ...]
    events: tuple[str, ...] = ()
    workers: int = 2
    needs: str = ""
    env: tuple[tuple[str, str], ...] = ()


ALL_OF_GUNICORN = ("HUP", "TTIN and TTOU", "kill -9", "USR2")
ID = (("OTEL_OBS_SERVICE_ID", "matrix"),)

SERVERS = (
    Server("gunicorn sync", "forks", (*GUNICORN, "-w", "2", WSGI), ALL_OF_GUNICORN),
    Server("gunicorn gthread", "forks", (*GUNICORN, "-w", "2", "-k", "gthread", WSGI), ALL_OF_GUNICORN),
    Server(
        "gunicorn gevent",
        "forks",
        (*GUNICORN, "-w", "2", "-k", "gevent", WSGI),
        ALL_OF_GUNICORN,
        needs="gevent",
    ),
    Server("gunicorn preload", "forks", (*GUNICORN, "-w", "2", "--preload", WSGI), ALL_OF_GUNICORN),
    Server("gunicorn daemon", "daemon", (*GUNICORN, "-w", "2", "--daemon", WSGI), ("HUP", "kill -9")),
    Server(
        "gunicorn user", "another user", (*GUNICORN, "-w", "2", "--user", "nobody", WSGI), ("HUP", "kill -9")
    ),
    Server(
        "gunicorn recycled", "forks", (*GUNICORN, "-w", "1", "--max-requests", "7", WSGI), ("kill -9",), 1
    ),
    Server(
        "uvicorn workers",
        "spawns",
        (*UVICORN, *PATIENT, "--workers", "2", ASGI),
        ("HUP", "TTIN and TTOU", "kill -9"),
    ),
    Server("uvicorn reload", "spawns", (*UVICORN, "--reload", "--reload-dir", "{dir}", ASGI), ("touch",), 1),
    Server("uvicorn alone", "siblings", (*UVICORN, ASGI), (), 0),
    Server(
        "fastapi run",
        "spawns",
        (tool("fastapi"), "run", "--port", "{port}", "--workers", "2", "--entrypoint", ASGI),
        ("kill -9",),
        needs="fastapi_cli",
    ),
    Server("hypercorn", "spawns", (tool("hypercorn"), "--bind", "127.0.0.1:{port}", "--workers", "2", ASGI)),
    Server(
        "granian asgi",
        "spawns",
        (*GRANIAN, "--interface", "asgi", "--workers", "2", ASGI),
        ("kill -9",),
        needs="granian",
    ),
    Server(
        "granian wsgi",
        "spawns",
        (*GRANIAN, "--interface", "wsgi", "--workers", "2", WSGI),
        ("kill -9",),
        needs="granian",
    ),
    Server("uwsgi", "forks in C", UWSGI, ("kill -9",), needs="uwsgi"),
    Server("uwsgi with hooks", "forks in C", (*UWSGI, "--py-call-osafterfork"), ("kill -9",), needs="uwsgi"),
    Server("uwsgi lazy", "forks in C", (*UWSGI, "--lazy-apps"), ("kill -9",), needs="uwsgi"),
    Server("multiprocessing fork", "forks", (*PROGRAM, "fork", "{port}", "2"), ("kill -9",)),
    Server("multiprocessing spawn", "spawns", (*PROGRAM, "spawn", "{port}", "2"), ("kill -9",)),
    Server("multiprocessing forkserver", "spawns", (*PROGRAM, "forkserver", "{port}", "2"), (), 0),
    Server(
        "celery prefork",
        "forks",
        (sys.executable, "-m", "tests.services.apps.counted_celery", "{port}", "{dir}"),
        (),
        0,
        needs="celery",
    ),
    Server("circus", "siblings", (tool("circusd"), "{dir}/circus.ini"), ("kill -9",), needs="circus"),
    Server(
        "siblings with an id",
        "siblings",
        (*SUPERVISOR, "{wrapper}", tool("uvicorn"), "--port", "PORT", "--log-level", "warning", ASGI),
        ("kill -9",),
        env=ID,
    ),
)

WAYS = ("wrapper", "one line", "prometheus")
IN_A_NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
SITUATIONS: dict[str, tuple[str, ...]] = {
    "a session of its own": (),
    "under a shell": ("/bin/sh", "-c", '"$@" & wait', "sh"),
    "process 1": IN_A_NAMESPACE,
    "sh as process 1": (*IN_A_NAMESPACE, "/bin/sh", "-c", '"$@"; true', "sh"),
    "tini as process 1": (*IN_A_NAMESPACE, "tini", "--"),
    "dumb-init as process 1": (*IN_A_NAMESPACE, "dumb-init", "--"),
    "other titles": (),
    "without /proc": ("unshare", "--mount", "/bin/sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"),
    "hidden ancestors": (
        "unshare",
        "--mount",
        "/bin/sh",
        "-c",
        'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
        "sh",
    ),
}
RARE = ("without /proc", "dumb-init as process 1")
"""Situations that only `make matrix` has, but for the lives in `ALWAYS`."""

ALWAYS = (
    ("gunicorn sync", "one line", "without /proc"),
    ("uvicorn workers", "wrapper", "without /proc"),
    ("granian wsgi", "prometheus", "without /proc"),
)
"""Lives that are led in any case, by their server, way and situation."""

FRONTS = ("unshare", "sh", "tini", "dumb-init")
"""Programs that only stand before the server."""


class Cell(NamedTuple):
    """One life of one service."""

    server: Server
    way: str
    situation: str

    @property
    def name(self) -> str:
        """What the test is called."""
        return ", ".join((self.server.name, self.way, self.situation))

    @property
    def is_tidied_later(self) -> bool:
        """Whether the end of a container may come before whoever tidies up is through.

        The kernel kills all others when process 1 ends, and nothing makes that moment long enough. What they
        leave goes with the container's memory, or at the next start on the same machine. Only the master of
        gunicorn waits for its workers, and then runs exit handlers, those of the wrapper among them.
        """
        return self.situation.endswith("process 1") and not (
            self.way == "wrapper" and self.server.name.startswith("gunicorn")
        )

    @property
    def impossible(self) -> str:
        """Why there can be no such life here; empty where there can."""
        namespaced, needs = self.situation.endswith("process 1"), self.server.needs
        if self.server.family == "daemon" and namespaced:
            return "a container ends with its process 1, which a daemon leaves"
        if needs == "uwsgi" and not Path(tool("uwsgi")).exists():
            return "uWSGI is not installed beside this Python"
        if needs and needs != "uwsgi" and importlib.util.find_spec(needs) is None:
            return f"{needs} is not installed"
        if "unshare" in SITUATIONS[self.situation] and (os.geteuid() != 0 or not shutil.which("unshare")):
            return "needs root and unshare"
        for init in ("tini", "dumb-init"):
            if init in SITUATIONS[self.situation] and not shutil.which(init):
                return f"needs {init}"
        if self.situation == "without /proc" and self.server.family in (
            "another user",
            "forks in C",
            "daemon",
        ):
            return "it does not run without /proc, or nobody can tell there whose it is"
        if self.situation == "without /proc" and needs == "circus":
            return "circus sees no worker without /proc, and starts another every second beside them"
        if self.server.family == "another user" and not opened.is_possible():
            return "needs root, who may become another user, and show this one a checkout and its Python"
        return ""


EVERY = tuple(Cell(*each) for each in product(SERVERS, WAYS, SITUATIONS))


def spanning() -> list[Cell]:
    """Few lives with every server, and every pair of ways, situations and families of servers."""
    chosen: list[Cell] = []
    cells = [cell for cell in EVERY if not cell.impossible and cell.situation not in RARE]
    wanted = {pair for cell in cells for pair in _pairs(cell)}
    while wanted:
        best = max(cells, key=lambda cell: len(wanted & _pairs(cell)))
        chosen.append(best)
        wanted -= _pairs(best)
    always = [cell for cell in EVERY if (cell.server.name, *cell[1:]) in ALWAYS and not cell.impossible]
    return [*chosen, *always]


def _pairs(cell: Cell) -> set[tuple[str, str]]:
    server, way, situation = cell
    return {(server.name, ""), (server.family, way), (way, situation), (server.family, situation)}
