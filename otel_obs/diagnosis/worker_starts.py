"""How servers start their workers, read from their command lines: one row each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from otel_obs.diagnosis.launch import Launch

TARGET = re.compile(r"[A-Za-z_][\w./]*:[A-Za-z_][\w.]*(?:\(.*\))?$")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$")


class ServerKind(NamedTuple):
    """The command-line conventions of a server.

    Args:
        package: The distribution that installs it.
        port: The port that it listens on by default; 0 for none.
        workers: Options and variables that give the number of workers.
        bind: Options and variables that give an address, as `host:port` or as a port.
        target: Options and variables that name the application, where it is not a positional argument.
        model: How workers start: `FORKS`, `PRELOADS`, `SPAWNS`, or "" for one process.
        is_http: Whether it serves HTTP.
    """

    package: str
    port: int
    workers: tuple[str, ...] = ()
    bind: tuple[str, ...] = ("--port", "-p")
    target: tuple[str, ...] = ()
    model: str = ""
    is_http: bool = True


FORKS, PRELOADS, SPAWNS = "forks", "preloads", "spawns"
MODELS = {
    FORKS: "a master forks its workers; each loads the application after the fork",
    PRELOADS: "a master loads the application and then forks its workers",
    SPAWNS: "a parent starts its workers anew, through multiprocessing; each loads the application",
    "": "one process, with threads",
}

SERVER_KINDS: Mapping[str, ServerKind] = {
    "gunicorn": ServerKind(
        "gunicorn", 8000, ("-w", "--workers", "WEB_CONCURRENCY"), ("-b", "--bind"), model=FORKS
    ),
    "uvicorn": ServerKind("uvicorn", 8000, ("--workers", "WEB_CONCURRENCY"), ("--port",), model=SPAWNS),
    "hypercorn": ServerKind("hypercorn", 8000, ("-w", "--workers"), ("-b", "--bind"), model=SPAWNS),
    "granian": ServerKind(
        "granian", 8000, ("--workers", "GRANIAN_WORKERS"), ("--port", "GRANIAN_PORT"), model=SPAWNS
    ),
    "fastapi": ServerKind("fastapi-cli", 8000, ("--workers",), ("--port",), model=SPAWNS),
    "flask": ServerKind("flask", 5000, (), ("-p", "--port", "FLASK_RUN_PORT"), ("-A", "--app", "FLASK_APP")),
    "waitress-serve": ServerKind("waitress", 8080, (), ("--port", "--listen")),
    "daphne": ServerKind("daphne", 8000, (), ("-p", "--port")),
    "uwsgi": ServerKind(
        "uwsgi",
        0,
        ("-p", "--processes", "--workers"),
        ("--http", "--http-socket", "-s", "--socket"),
        ("-w", "--module", "--wsgi-file"),
        model=PRELOADS,
    ),
    "celery": ServerKind(
        "celery", 0, ("-c", "--concurrency"), (), ("-A", "--app"), model=PRELOADS, is_http=False
    ),
}


class ServerModel(NamedTuple):
    """How a service will run, by its command line; None and "" for what the command line does not show."""

    name: str
    target: str
    workers: int | None
    ports: tuple[int, ...]
    model: str
    notes: tuple[str, ...] = ()


def server_of(launch: Launch, directory: Path) -> ServerModel | None:
    """The server that a command starts; None for an unknown one."""
    name = launch.program
    kind = SERVER_KINDS.get(name)
    if kind is None:
        return None
    words = list(launch.arguments)
    notes: list[str] = []
    if name == "gunicorn":
        words = [*launch.environ.get("GUNICORN_CMD_ARGS", "").split(), *words]
        words = [*_gunicorn_file(words, directory, notes), *words]
    found = _last(words, launch.environ, kind.workers)
    workers = int(found) if found.isdigit() else None if found else 1
    if "--reload" in words and name in ("uvicorn", "fastapi", "gunicorn"):
        notes.append("--reload starts the application anew at each change; its numbers begin at 0 then")
    model = MODELS[kind.model]
    if name == "gunicorn" and "--preload" in words:
        model = f"{MODELS[PRELOADS]} (--preload)"
    if name == "celery":
        workers, model = _of_celery(words, workers, model)
    if name == "uwsgi":
        model = _of_uwsgi(words, notes, model)
    if name in _FILES and not found and any(word.endswith(_FILES[name]) for word in words):
        notes.append("its file of settings is not read: how many workers it starts is not known")
        workers = None
    if name != "gunicorn" and workers == 1 and "--reload" not in words:
        model = MODELS[""]
    return ServerModel(
        name, _target(words, launch, kind), workers, _ports(words, launch, kind), model, tuple(notes)
    )


_FILES = {"uwsgi": (".ini", ".yaml", ".yml", ".json", ".xml"), "hypercorn": (".toml", ".py")}
"""The ends of files in which servers have settings that are not read here."""


def _of_celery(words: Sequence[str], workers: int | None, model: str) -> tuple[int | None, str]:
    pool = _last(words, {}, ("-P", "--pool")) or "prefork"
    if pool != "prefork":
        return 1, MODELS[""] if pool != "solo" else "one process, with one task at a time"
    return (None if not _last(words, {}, ("-c", "--concurrency")) else workers), model


def _of_uwsgi(words: Sequence[str], notes: list[str], model: str) -> str:
    if not any(word.partition("=")[0] in ("--enable-threads", "-T", "--threads") for word in words):
        notes.append("give it --enable-threads: without, no thread of Python's runs between requests")
    return MODELS[FORKS] if {"--lazy-apps", "--lazy"} & set(words) else model


def _last(words: Sequence[str], environ: Mapping[str, str], names: Sequence[str]) -> str:
    """The value of the last of these options, or of a variable where no option is given."""
    found = list(_values(words, names))
    variables = [environ[name] for name in names if not name.startswith("-") and environ.get(name)]
    return (found or variables or [""])[-1]


def _values(words: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in names and option.startswith("--") and equals:
            yield value
        elif word in names and at + 1 < len(words):
            yield words[at + 1]
        elif not word.startswith("--") and word[:2] in names and len(word) > 2:
            yield word[2:]


def _ports(words: Sequence[str], launch: Launch, kind: ServerKind) -> tuple[int, ...]:
    given = list(_values(words, kind.bind)) or [
        launch.environ[name] for name in kind.bind if launch.environ.get(name)
    ]
    ends = [re.search(r"(?:^|:)(\d+)$", text) for text in given]
    ports = tuple(int(end[1]) for end in ends if end is not None)
    if ports or given or not kind.port:
        return ports
    # gunicorn's default port is the variable PORT, where it is set.
    named = launch.environ.get("PORT", "") if launch.program == "gunicorn" else ""
    return (int(named) if named.isdigit() else kind.port,)


def _target(words: Sequence[str], launch: Launch, kind: ServerKind) -> str:
    named = _last(words, launch.environ, kind.target)
    if named:
        return named
    for word in words:
        if TARGET.match(word):
            return word
    last = words[-1] if words and not words[-1].endswith(_FILES.get(launch.program, ())) else ""
    if launch.program in ("fastapi", "flask"):
        scripts = [word for word in words if word.endswith(".py")]
        return scripts[0] if scripts else "app"
    return last if _MODULE.match(last) and len(words) > 0 and not last.isdigit() else ""


_FILE_OPTIONS = {"workers": "--workers", "bind": "--bind", "preload_app": "--preload", "wsgi_app": ""}


def _gunicorn_file(words: Sequence[str], directory: Path, notes: list[str]) -> list[str]:
    """The settings of gunicorn.conf.py as options. The file is only parsed: computed values are unknown."""
    named = _last(words, {}, ("-c", "--config"))
    path = directory / (named.removeprefix("file:") or "gunicorn.conf.py")
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    options: list[str] = []
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        if name not in _FILE_OPTIONS:
            continue
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError):
            notes.append(f"{path.name} computes {name}: what it will be is not known without running it")
            if name == "workers":
                options += ["--workers", "?"]
            continue
        if name == "preload_app":
            options += ["--preload"] if value else []
        else:
            each = value if isinstance(value, list | tuple) else [value]
            options += [word for item in each for word in (_FILE_OPTIONS[name], str(item)) if word]
    return options
