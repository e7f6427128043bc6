"""Looking for where a process listens leaves its descriptors as they are."""

from __future__ import annotations

import os
import socket
import tempfile

from otel_obs.serving.address import listening


def test_what_is_no_socket_is_not_copied() -> None:
    with tempfile.TemporaryFile(), socket.create_server(("127.0.0.1", 0)) as server:
        before = sorted(os.listdir("/proc/self/fd"))
        assert f"127.0.0.1:{server.getsockname()[1]}" in listening()
        assert sorted(os.listdir("/proc/self/fd")) == before
