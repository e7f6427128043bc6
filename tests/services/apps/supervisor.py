"""Keeps a command running for each port, executed anew, as supervisord does; it knows nothing of metrics.

It gives a command up that ends again and again, and ends when its own parent has ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

STARTS = 5
"""How often a command is started at most for each port: a life of the tests kills it once."""

ports, command = sys.argv[1].split(","), sys.argv[2:]
running: dict[str, subprocess.Popen[bytes]] = {}
starts = dict.fromkeys(ports, 0)
parent = os.getppid()


def stop(*_: object) -> None:
    """End all, and wait for their ends."""
    for each in running.values():
        each.terminate()
    for each in running.values():
        each.wait()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
while os.getppid() == parent:
    for port in ports:
        if port not in running or running[port].poll() is not None:
            if starts[port] == STARTS:
                print(f"{command[0]} on port {port} ended {STARTS} times", file=sys.stderr)
                stop()
            starts[port] += 1
            running[port] = subprocess.Popen([word.replace("PORT", port) for word in command])
    signal.sigtimedwait([], 0.1)
stop()
