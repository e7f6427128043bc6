"""Keeps a command running for each port, executed anew, as supervisord does; it knows nothing of metrics."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

ports, command = sys.argv[1].split(","), sys.argv[2:]
running: dict[str, subprocess.Popen[bytes]] = {}


def stop(*_: object) -> None:
    """End all, and wait for their ends."""
    for each in running.values():
        each.terminate()
    for each in running.values():
        each.wait()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
while True:
    for port in ports:
        if port not in running or running[port].poll() is not None:
            running[port] = subprocess.Popen([word.replace("PORT", port) for word in command])
    signal.sigtimedwait([], 0.1)
