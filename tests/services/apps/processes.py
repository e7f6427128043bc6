"""A program that serves one socket from multiprocessing's processes, and replaces those that end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.connection import wait
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

STARTS = 5
"""How many processes are started at most for each worker: a life of the tests kills each once."""


class Quiet(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, format: str, *args: object) -> None:
        """Requests are no news."""


class Server(ThreadingMixIn, WSGIServer):
    """Serves a socket that is bound already."""

    daemon_threads = True


def serve(listener: socket.socket) -> None:
    """One worker, until SIGTERM."""
    from tests.services.apps.counted_wsgi import app

    server = Server(("127.0.0.1", 0), Quiet, bind_and_activate=False)
    server.socket.close()
    listener.setblocking(False)  # another worker may have accepted what woke this one
    server.socket = listener
    server.server_name, server.server_port = "localhost", listener.getsockname()[1]
    server.setup_environ()
    server.set_app(app)
    # An exception out of the handler would be lost where the signal finds the interpreter in a finaliser.
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    server.serve_forever()


def main(method: str, port: int, count: int) -> None:
    """Keep *count* workers running until SIGTERM."""
    context: Any = multiprocessing.get_context(method)
    listener = socket.create_server(("127.0.0.1", port), backlog=100)
    workers: list[multiprocessing.process.BaseProcess] = []

    def stop(*_: object) -> None:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    started = 0
    while True:
        workers[:] = [worker for worker in workers if worker.is_alive()]
        while len(workers) < count:
            if started == STARTS * count:
                print(f"the workers ended {started - len(workers)} times", file=sys.stderr)
                stop()
            started += 1
            worker = context.Process(target=serve, args=(listener,))
            worker.start()
            workers.append(worker)
        wait([worker.sentinel for worker in workers])


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
