"""Looking for where a process listens leaves its descriptors as they are."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack
from multiprocessing.connection import Listener
from pathlib import Path

from otel_obs.serving.address import listening


def test_what_is_no_socket_is_not_copied() -> None:
    with tempfile.TemporaryFile(), socket.create_server(("127.0.0.1", 0)) as server:
        before = sorted(os.listdir("/proc/self/fd"))
        assert f"127.0.0.1:{server.getsockname()[1]}" in listening()
        assert sorted(os.listdir("/proc/self/fd")) == before


def test_what_the_server_says_is_taken_else_what_its_parent_has_else_the_ports(tmp_path: Path) -> None:
    with ExitStack() as stack:
        chosen, debugger = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        commands = stack.enter_context(socket.socket(socket.AF_UNIX))
        commands.bind(str(tmp_path / "commands.sock"))
        commands.listen()
        at, also_at = (f"127.0.0.1:{each.getsockname()[1]}" for each in (chosen, debugger))
        inode = os.fstat(chosen.fileno()).st_ino
        assert listening([chosen.fileno()]) == [at]
        assert listening([commands.fileno()]) == [f"unix:{tmp_path}/commands.sock"]
        assert listening([], [inode]) == listening(None, [inode]) == [at]
        assert listening(None, [inode, os.fstat(commands.fileno()).st_ino]) == [at]
        assert listening([]) == []  # a server that is starting
        found = listening()
        assert {at, also_at} <= set(found)
        assert not [each for each in found if each.startswith("unix:")]


def test_sockets_of_multiprocessing_are_no_place_of_an_application(tmp_path: Path) -> None:
    with Listener(family="AF_UNIX") as of_python, socket.socket(socket.AF_UNIX) as application:
        application.bind(str(tmp_path / "shop.sock"))
        application.listen()
        both = [os.fstat(application.fileno()).st_ino, os.stat(of_python._listener._socket.fileno()).st_ino]  # type: ignore[attr-defined]
        assert listening(None, both) == [f"unix:{tmp_path}/shop.sock"]


def test_a_socket_of_the_parent_counts_before_this_process_listens() -> None:
    with socket.socket() as bound, socket.create_server(("127.0.0.1", 0)):
        bound.bind(("127.0.0.1", 0))
        inode = os.fstat(bound.fileno()).st_ino
        assert listening(None, [inode]) == [f"127.0.0.1:{bound.getsockname()[1]}"]
