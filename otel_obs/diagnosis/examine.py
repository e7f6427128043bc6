"""Examine a command before it runs, or a running process. Only reads: no code of the service is executed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from otel_obs import service
from otel_obs.diagnosis import packages, whereabouts
from otel_obs.diagnosis.launch import Launch, take_apart
from otel_obs.diagnosis.others import CALLABLES, OTHER_LIBRARIES, UNMEASURED
from otel_obs.diagnosis.report import Diagnosis
from otel_obs.diagnosis.sources import SourceTree, read_sources
from otel_obs.diagnosis.worker_starts import MODELS, SERVER_KINDS, TARGET, ServerModel, server_of
from otel_obs.errors import SettingError, UnreadableError
from otel_obs.frameworks.known import FRAMEWORKS
from otel_obs.host import proc
from otel_obs.settings import SETTINGS, Settings

COMMAND, MEASURED, INSTRUMENTORS, SETTINGS_IN_FORCE = "command", "measured", "instrumentors", "settings"
PROCESS = "process"
_SECRETS = frozenset({"OTEL_OBS_METRICS_TOKEN"})
_TITLE = re.compile(r"(gunicorn): \w+ \[(.+)\]|(granian) (?:asginl|asgi|rsgi|wsgi) \S+ (\S+)")
"""Titles that servers give themselves where setproctitle is installed: the server, and the application."""
_IN_PATH = "opentelemetry/instrumentation/auto_instrumentation"
"""Part of the directory that the wrapper puts into PYTHONPATH; its presence shows that it runs."""


def examine(command: Sequence[str], environ: Mapping[str, str], directory: Path) -> Diagnosis:
    """Predict what happens if *command* runs under the wrapper.

    Args:
        command: The command line, in words.
        environ: The environment that it will have.
        directory: Its working directory.

    Raises:
        UnreadableError: The command runs no program.
    """
    diagnosis = Diagnosis()
    launch = take_apart(command, environ)
    model = server_of(launch, directory)
    _examine_program(diagnosis, launch, model)
    settings = _examine_application(diagnosis, launch, model, directory)
    if settings is not None:
        ports = model.ports if model is not None else ()
        whereabouts.examine_ports(diagnosis, settings, ports, _serves_http(model))
        whereabouts.examine_directory(diagnosis, settings, launch.environ)
    return diagnosis


def examine_process(pid: int) -> Diagnosis:
    """Diagnose a running process, and show the service that it has joined.

    Raises:
        UnreadableError: There is no such process, or this user may not read it.
    """
    try:
        explanation = service.explain(pid)
    except ProcessLookupError as error:
        raise UnreadableError(
            f"process {pid}", "is not there, or is another user's", "run this as its user"
        ) from error
    environ, command = proc.environment_of(pid), proc.command_of(pid)
    if not environ:
        raise UnreadableError(f"process {pid}", "does not show its environment", "run this as its user")
    diagnosis = Diagnosis()
    try:
        directory = Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        directory = Path()
    for line in str(explanation).splitlines():
        diagnosis.say(PROCESS, "", line.strip())
    workers = [child.pid for child in proc.children_of(pid)]
    if workers:
        diagnosis.say(PROCESS, "children", ", ".join(map(str, workers)))
    if explanation.remedy:
        diagnosis.warn(f"process {pid}", explanation.reason, explanation.remedy)
    if not any(service.explain(each).is_member for each in [pid, *workers] if proc.look_up(each)):
        diagnosis.warn(
            f"process {pid}",
            "has not joined a service of otel_obs, nor has a child of it: nothing of it is measured so far",
            "start it with opentelemetry-instrument, or call otel_obs.instrument(app)",
        )
    launch = _launch_of(pid, command, environ)
    model = server_of(launch, directory) if launch.program else None
    if model is not None and _TITLE.fullmatch(_title(command)):
        note = (
            "it has given itself a title, which hides its options: how many workers it starts is not to see"
        )
        model = model._replace(workers=None, model=MODELS[SERVER_KINDS[model.name].model], notes=(note,))
    if launch.program:
        _examine_program(diagnosis, launch, model)
    elif command:
        diagnosis.say(COMMAND, "title", _title(command), "it hides what was executed")
    settings = _examine_application(diagnosis, launch, model, directory)
    if settings is not None:
        listening = whereabouts.ports_of([pid, *workers])
        ports = tuple(port for port in listening if port != settings.prometheus_port)
        whereabouts.examine_ports(diagnosis, settings, ports, _serves_http(model))
        whereabouts.examine_directory(diagnosis, settings, environ)
    return diagnosis


def _serves_http(model: ServerModel | None) -> bool:
    return model is None or SERVER_KINDS[model.name].is_http


def _title(command: list[str]) -> str:
    """The command line as one text; a title is followed by what is left of the room for it."""
    return " ".join(command).strip()


def _launch_of(pid: int, command: list[str], environ: Mapping[str, str]) -> Launch:
    """What a process runs, by its command line, or by the title that its server has replaced it with."""
    wrapper = "opentelemetry-instrument" if _IN_PATH in environ.get("PYTHONPATH", "") else ""
    titled = _TITLE.fullmatch(_title(command))
    if titled is not None:
        name, application = filter(None, titled.groups())
        try:
            program = os.readlink(f"/proc/{pid}/exe")
        except OSError:
            program = "not to see"
        return Launch(name, (application,), path=program, environ=environ, wrapper=wrapper)
    if " " in command[0] and not any(command[1:]) and not os.path.exists(command[0]):
        return Launch(environ=environ, wrapper=wrapper)  # a title that says nothing of the command
    try:
        launch = take_apart(command, environ)
    except UnreadableError:
        return Launch(environ=environ)
    return replace(launch, wrapper=launch.wrapper or wrapper)


def _examine_program(diagnosis: Diagnosis, launch: Launch, model: ServerModel | None) -> None:
    """The program, its Python, and how it starts workers."""
    diagnosis.say(COMMAND, "program", launch.program, launch.path or "not found")
    if not launch.path:
        kind = SERVER_KINDS.get(launch.program)
        remedy = f"pip install {kind.package}" if kind else "check PATH, or give the whole path"
        what = "is no command that can be executed: it is not installed here"
        beside = Path(sys.executable).parent / launch.program
        if launch.program and beside.is_file():
            what, remedy = "is not on PATH", f"activate the environment, or give the whole path: {beside}"
        diagnosis.warn(launch.program, what, remedy)
    _examine_interpreter(diagnosis, launch)
    diagnosis.say(
        COMMAND, "wrapper", launch.wrapper or "none in the command: put opentelemetry-instrument first"
    )
    if model is None:
        diagnosis.say(COMMAND, "server", f"{launch.program} is none that is known; what it does is its own")
        return
    kind = SERVER_KINDS[model.name]
    version = packages.version_of(kind.package)
    diagnosis.say(
        COMMAND, "server", f"{model.name} {version}".rstrip(), "installed" if version else "not installed"
    )
    if not version and launch.path:
        diagnosis.warn(model.name, "is not installed in this Python", f"pip install {kind.package}")
    diagnosis.say(COMMAND, "application", model.target or "not in the command line")
    shown = "not known" if model.workers is None else model.workers
    diagnosis.say(COMMAND, "workers", shown, model.model)
    for note in model.notes:
        diagnosis.say(COMMAND, "note", note)


def _examine_interpreter(diagnosis: Diagnosis, launch: Launch) -> None:
    if not launch.interpreter:
        return
    diagnosis.say(COMMAND, "Python", launch.interpreter)
    if not _is_this_python(launch.interpreter):
        diagnosis.warn(
            launch.interpreter,
            f"is not the Python of this command, {sys.executable}; what is said of packages may not hold",
            f"run doctor there: {launch.interpreter} -m otel_obs doctor",
        )
    hiding = [
        flag for flag in launch.flags if re.match(r"-[A-Za-z]*[IES]", flag) and flag[:2] not in ("-W", "-X")
    ]
    if hiding:
        diagnosis.warn(
            " ".join(hiding),
            "keeps Python from loading the wrapper, which comes by PYTHONPATH and sitecustomize",
            "leave it out, or call otel_obs.instrument(app) in the code",
        )


def _is_this_python(path: str) -> bool:
    """Whether a path is this environment's Python: `python` and `python3` in one directory are the same."""
    own = Path(sys.executable)
    try:
        return Path(path).parent.resolve() == own.parent.resolve() or Path(path).parent.samefile(own.parent)
    except OSError:
        return False


def _examine_application(
    diagnosis: Diagnosis, launch: Launch, model: ServerModel | None, directory: Path
) -> Settings | None:
    """What is measured, by which library and with which settings; None where the settings are invalid."""
    sources = read_sources(
        launch, model.target if model is not None else _word_of_application(launch), directory
    )
    settings = _examine_settings(diagnosis, launch, sources)
    _examine_frameworks(diagnosis, sources)
    _examine_others(diagnosis, sources)
    if settings is not None:
        _examine_packages(diagnosis, launch, settings)
    return settings


def _word_of_application(launch: Launch) -> str:
    """The word that looks like an application in the command line of an unknown server."""
    return next((word for word in launch.arguments if TARGET.match(word)), "")


def _examine_settings(diagnosis: Diagnosis, launch: Launch, sources: SourceTree) -> Settings | None:
    """Every setting with its value and its source; arguments in the code win over variables."""
    try:
        settings = Settings.from_env(launch.environ)
    except SettingError as error:
        diagnosis.warn(
            error.variable,
            f"{error}; the service would run without metrics",
            "correct it; docs/settings.md lists all",
        )
        return None
    for warning in settings.warnings:
        diagnosis.warn("settings", warning, "correct the name, or unset it")
    told = {each.field: each for each in sources.told}
    for row in SETTINGS:
        source = launch.assigned.get(row.variable) or (
            "environment" if launch.environ.get(row.variable) else "default"
        )
        value = "…" if row.variable in _SECRETS and source != "default" else getattr(settings, row.field)
        if row.field in told:
            value, source = told[row.field].value, f"{told[row.field].where}, in the code"
        diagnosis.say(SETTINGS_IN_FORCE, row.variable, value, source)
    if not settings.is_on:
        variable = "OTEL_SDK_DISABLED" if settings.sdk_disabled else "OTEL_OBS_ENABLED"
        diagnosis.warn(variable, "switches otel_obs off: nothing is measured", "unset it")
    if launch.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        diagnosis.say(
            SETTINGS_IN_FORCE,
            "PROMETHEUS_MULTIPROC_DIR",
            "is not needed: otel_obs adds up all workers",
            "environment",
        )
    _examine_token(diagnosis, settings)
    return settings


def _examine_token(diagnosis: Diagnosis, settings: Settings) -> None:
    for read in (settings.read_metrics_token, lambda: settings.tls_files):
        try:
            read()
        except SettingError as error:
            diagnosis.warn(error.variable, str(error), "correct it; docs/settings.md lists all")


def _examine_frameworks(diagnosis: Diagnosis, sources: SourceTree) -> None:
    if not sources.is_found:
        diagnosis.say(MEASURED, "application", "its file was not found; what it imports is not known")
    for path in sources.unread:
        diagnosis.say(MEASURED, "not read", path)
    roots = {module.partition(".")[0] for framework in FRAMEWORKS for module in framework.imported}
    for framework in sorted(roots):
        place = sources.place_of(framework)
        if place:
            diagnosis.say(MEASURED, framework, "requests are measured, by their routes' templates", place)
    for module, name in UNMEASURED.items():
        place = sources.place_of(module)
        if place and module in CALLABLES:
            diagnosis.say(
                MEASURED, name, "requests are counted under a known server, without their routes", place
            )
        elif place:
            diagnosis.warn(
                name,
                f"is imported at {place}; otel_obs does not measure its requests",
                "count them with the catalog (docs/metrics.md), or with `prometheus_client`",
            )
    for call in sources.calls:
        diagnosis.say(MEASURED, "in code", "otel_obs is called", call)


def _examine_others(diagnosis: Diagnosis, sources: SourceTree) -> None:
    installed = packages.names_installed()
    for other in OTHER_LIBRARIES:
        place = sources.place_of(other.module)
        if place and other.is_problem:
            diagnosis.warn(other.module, f"is imported at {place}: it {other.what}", other.remedy)
        elif place:
            diagnosis.say(MEASURED, other.module, other.what, place)
        elif other.package in installed and not sources.is_found:
            diagnosis.say(MEASURED, other.module, f"is installed; where it is used, {other.what}")


def _examine_packages(diagnosis: Diagnosis, launch: Launch, settings: Settings) -> None:
    chosen, source, installed = packages.chosen_distribution(launch.environ)
    diagnosis.say(INSTRUMENTORS, "distribution", f"{chosen} of {', '.join(installed)}", source)
    configurator = launch.environ.get("OTEL_PYTHON_CONFIGURATOR", packages.OURS)
    for variable, choice in (("OTEL_PYTHON_DISTRO", chosen), ("OTEL_PYTHON_CONFIGURATOR", configurator)):
        if choice == packages.OURS:
            continue
        diagnosis.warn(
            variable,
            f"chooses {choice}: otel_obs is not loaded by the wrapper",
            "unset it, or set OTEL_PYTHON_DISTRO=otel_obs OTEL_PYTHON_CONFIGURATOR=otel_obs",
        )
    for each in packages.instrumentors(launch.environ, settings, chosen == packages.OURS):
        diagnosis.say(INSTRUMENTORS, each.name, each.state, each.why)
        if each.state == packages.REFUSED:
            diagnosis.warn(each.name, f"is not loaded: {each.why}", "install versions that fit together")
    for variable, name in packages.missing_exporters(settings):
        remedy = "pip install 'otel-obs[otlp]'" if name.startswith("otlp") else "install its package"
        diagnosis.warn(f"{variable}={name}", "names an exporter that is not installed", remedy)
