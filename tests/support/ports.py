"""Ports for servers of the tests that nothing else on the machine is given meanwhile.

A port that the kernel chooses, and that is closed again, may be given to another connection before a server
has it. These are below what the kernel gives away, and each process that runs tests has a block of its own.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

BLOCK, BLOCKS = 120, 100
"""How many ports a process has, and how many processes there can be."""

_GIVEN_AWAY = Path("/proc/sys/net/ipv4/ip_local_port_range")
_blocks: dict[int, tuple[int, Iterator[int]]] = {}
"""By process, the lock of its block, which it holds until it ends, and the ports in turn."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on."""
    if os.getpid() not in _blocks:
        _blocks[os.getpid()] = _take_block()
    _, ports = _blocks[os.getpid()]
    for port in itertools.islice(ports, BLOCK):
        if _is_free(port):
            return port
    raise RuntimeError(f"none of {BLOCK} ports is free")


def _take_block() -> tuple[int, Iterator[int]]:
    given_away = int(_GIVEN_AWAY.read_text().split()[0])
    directory = Path(tempfile.gettempdir(), f"otel-obs-test-ports-{os.geteuid()}")
    directory.mkdir(mode=0o700, exist_ok=True)
    for number in range(BLOCKS):
        lock = os.open(directory / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
        else:
            first = given_away - (number + 1) * BLOCK
            return lock, itertools.cycle(range(first, first + BLOCK))
    raise RuntimeError(f"{BLOCKS} processes have ports for tests")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
