# mypy: ignore-errors
from prometheus_client import multiprocess

preload_app = True


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
