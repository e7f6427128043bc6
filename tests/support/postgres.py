"""A real PostgreSQL server for a test, in a directory of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.support.processes import Service
from tests.support.waiting import until

MISSING = "PostgreSQL is not installed; install it with: sudo apt-get install postgresql"
USER = "postgres"


def binary(name: str) -> str | None:
    """One of PostgreSQL's commands; Debian keeps them beside each other, by version."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(debian[-1]) if debian else None)


@contextmanager
def postgres_server() -> Iterator[str]:
    """A server that is empty; its URL for psycopg.

    PostgreSQL refuses to run as root: root runs it as the user that Debian's package makes.
    """
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    as_user: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(directory, USER, USER)
        as_user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
    try:
        data = directory / "data"
        options = "-D", str(data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"
        subprocess.run(
            [*as_user, binary("initdb") or "initdb", *options],
            check=True,
            capture_output=True,
            cwd=directory,
        )
        command = (
            binary("postgres") or "postgres",
            "-D",
            str(data),
            "-p",
            "{port}",
            "-h",
            "127.0.0.1",
            "-k",
            "",
        )
        log_file = directory / "log"
        with Service(*as_user, *command, cwd=directory, log_file=log_file, ready_path=None) as server:
            url = f"postgresql://{USER}@127.0.0.1:{server.port}/postgres"

            def connects() -> bool:
                try:
                    psycopg.connect(url).close()
                except psycopg.OperationalError as error:
                    raise OSError(str(error)) from error
                return True

            until(connects, "a connection to PostgreSQL")
            yield url
    finally:
        shutil.rmtree(directory)
