"""Whether an installed otel-obs counts every request of four workers. Imports the standard library alone.

Usage: PYTHON smoke.py     where PYTHON's environment has otel-obs, flask and gunicorn
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

APP = """\
from flask import Flask

app = Flask(__name__)
app.add_url_rule("/items/<int:number>", "item", lambda number: str(number))
"""
SENT, WORKERS, WAIT_S = 60, 4, 120.0
COUNT = re.compile(r'^http_requests_total\{endpoint="/items/<int:number>",.*\} (\S+)$', re.MULTILINE)


def get(url: str) -> str:
    """A page, by a connection of its own, so that any worker may answer."""
    request = urllib.request.Request(url, headers={"Connection": "close"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def main() -> int:
    """Start, ask, compare; the exit code."""
    with tempfile.TemporaryDirectory() as directory, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        Path(directory, "app.py").write_text(APP)
        programs = Path(sys.executable).parent
        wrapper, gunicorn = str(programs / "opentelemetry-instrument"), str(programs / "gunicorn")
        command = [wrapper, "--", gunicorn, "--no-control-socket"]
        log = Path(directory, "log")
        with log.open("wb") as to:
            server = subprocess.Popen(
                [*command, "-w", str(WORKERS), "-b", f"127.0.0.1:{port}", "app:app"],
                cwd=directory,
                env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
                stdout=to,
                stderr=to,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            counted = ask(url, server)
        finally:
            server.terminate()
            server.wait(30)
        if counted != SENT:
            print(f"{SENT} requests were sent and {counted} counted\n{log.read_text()}", file=sys.stderr)
            return 1
    print(f"{SENT} of {SENT} requests of {WORKERS} workers are counted")
    return 0


def ask(url: str, server: subprocess.Popen[bytes]) -> float:
    """Send the requests and read one page."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s and server.poll() is None:
        with contextlib.suppress(OSError):
            get(f"{url}/metrics")
            break
        time.sleep(0.2)
    for number in range(SENT):
        get(f"{url}/items/{number}")
    return sum(float(value) for value in COUNT.findall(get(f"{url}/metrics")))


if __name__ == "__main__":
    sys.exit(main())
