"""When a worker begins to serve: the function that its server calls next, once the application is loaded.

One row per server. An application that is imported by a server's function finds that function running, and
can only follow one that is called after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any, NamedTuple

from otel_obs.host import forks
from otel_obs.host.changes import Replacements
from otel_obs.host.endings import watch_default
from otel_obs.host.threads import BackgroundThread

OnceServing = Callable[[], object]
TakeBack = Callable[[], object]

_LOOK_S = 0.1
"""The pause between two looks at whether an application is loaded, in seconds."""

_changes = Replacements()


class ServerBeginning(NamedTuple):
    """One server.

    Args:
        module: The module that is changed when it is imported.
        follow: Called with it and with what is to be called in each worker; returns the undoing.
    """

    module: str
    follow: Callable[[Any, OnceServing], TakeBack]


def _before(original: Callable[..., Any], begin: OnceServing) -> Callable[..., Any]:
    def beginning(*args: Any, **options: Any) -> Any:
        begin()
        return original(*args, **options)

    return beginning


def _after(original: Callable[..., Any], begin: OnceServing) -> Callable[..., Any]:
    def beginning(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        begin()
        return result

    return beginning


def _after_start(original: Callable[..., Any], begin: OnceServing) -> Callable[..., Any]:
    """For a coroutine function that runs the application's own start, which may set up, or fail."""

    async def beginning(*args: Any, **options: Any) -> Any:
        try:
            return await original(*args, **options)
        finally:
            begin()

    return beginning


def _gunicorn(module: Any, begin: OnceServing) -> TakeBack:
    # The first for a worker whose class is loaded later, the second for one that is loading its application.
    _changes.make(module.Worker, "load_wsgi", lambda original: _after(original, begin))
    for kind in _descendants(module.Worker):
        if "run" in vars(kind):
            _changes.make(kind, "run", lambda original: _before(original, begin))
    return _changes.undo


def _descendants(kind: type[Any]) -> Iterator[type[Any]]:
    kinds: list[type[Any]] = kind.__subclasses__()
    for each in kinds:
        yield each
        yield from _descendants(each)


def _in_python(*owners: str, name: str) -> Callable[[Any, OnceServing], TakeBack]:
    """Follow a method that is the server's loop, in Python, and does not handle SIGTERM."""

    def follow(module: Any, begin: OnceServing) -> TakeBack:
        def begins() -> None:
            begin()
            watch_default()

        for owner in owners:
            _changes.make(getattr(module, owner), name, lambda original: _before(original, begins))
        return _changes.undo

    return follow


def _method(owner: str, name: str) -> Callable[[Any, OnceServing], TakeBack]:
    """Follow a coroutine method."""

    def follow(module: Any, begin: OnceServing) -> TakeBack:
        _changes.make(getattr(module, owner), name, lambda original: _after_start(original, begin))
        return _changes.undo

    return follow


def _lifespan(module: Any, begin: OnceServing) -> TakeBack:
    """For hypercorn, whose workers, where there are several, leave SIGTERM to the system."""

    def begins() -> None:
        begin()
        watch_default()

    return _method("Lifespan", "wait_for_startup")(module, begins)


def _function(owner: str, name: str) -> Callable[[Any, OnceServing], TakeBack]:
    """Follow a method that is not a coroutine."""

    def follow(module: Any, begin: OnceServing) -> TakeBack:
        _changes.make(getattr(module, owner), name, lambda original: _before(original, begin))
        return _changes.undo

    return follow


def _granian(module: Any, begin: OnceServing) -> TakeBack:
    for name in ("ASGIWorker", "RSGIWorker", "WSGIWorker"):
        _changes.make(module, name, lambda original: _before(original, begin))
    return _changes.undo


def _celery(module: Any, begin: OnceServing) -> TakeBack:
    def begins(**_: object) -> None:
        begin()

    module.worker_process_init.connect(begins, weak=False)
    return lambda: module.worker_process_init.disconnect(begins)


def _uwsgi(module: Any, begin: OnceServing) -> TakeBack:
    def begins() -> None:
        if module.worker_id():  # neither a mule nor a spooler
            begin()

    forget = forks.after_fork_of_uwsgi(begins)
    if not module.worker_id():
        return forget
    waiting = _begin_once_loaded(module, begin)

    def forget_both() -> None:
        forget()
        waiting.leave()

    return forget_both


def _begin_once_loaded(module: Any, begin: OnceServing) -> BackgroundThread:
    """In a worker of uWSGI that loads its application itself, after the fork: nothing is called then."""

    def wait(stop: Event) -> None:
        while not module.workers()[module.worker_id() - 1]["apps"]:
            if stop.wait(_LOOK_S):
                return
        begin()

    thread = BackgroundThread(wait, "otel_obs_begin")
    thread.start()
    return thread


def _uwsgi_again(module: Any, begin: OnceServing) -> TakeBack:
    forks.follow_uwsgi()
    return lambda: None


BEGINNINGS = (
    ServerBeginning("gunicorn.workers.base", _gunicorn),
    ServerBeginning("uvicorn.server", _method("Server", "startup")),
    ServerBeginning("hypercorn.asyncio.lifespan", _lifespan),
    ServerBeginning("hypercorn.trio.lifespan", _lifespan),
    ServerBeginning("granian.server.mp", _granian),
    ServerBeginning("waitress.server", _in_python("BaseWSGIServer", "MultiSocketServer", name="run")),
    ServerBeginning("werkzeug.serving", _in_python("BaseWSGIServer", name="serve_forever")),
    ServerBeginning("daphne.server", _function("Server", "run")),
    ServerBeginning("dramatiq.worker", _function("Worker", "start")),
    ServerBeginning("celery.signals", _celery),
    ServerBeginning("uwsgi", _uwsgi),
    ServerBeginning("uwsgidecorators", _uwsgi_again),
)
