"""Explains which service a process belongs to, by which rule, and in which run directory."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from otel_obs.assembly.setup import Running
from otel_obs.errors import SettingError
from otel_obs.host import proc
from otel_obs.rundir import FILES_VERSION
from otel_obs.rundir.bases import default_bases
from otel_obs.rundir.directory import MEMBERS, PREFIX, user_path_of
from otel_obs.rundir.identity import Candidate, Identity, decide, siblings_alike, this_candidate
from otel_obs.rundir.lineage import Step, is_tracker
from otel_obs.rundir.search import is_there
from otel_obs.settings import Settings, process_environment

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """Why a process belongs to its service; `str` gives a text for people.

    Attributes:
        pid: The process.
        service: The name of the service's directory; empty where the process belongs to none.
        rule: `service id`, `environment`, `kernel`, `socket` or `unknown`; see "Workers" in docs/design.md.
        reason: The rule in words.
        root: The process with which the service begins and ends; None where it is not known.
        steps: From the process up to the first ancestor that is not of the service.
        directory: The run directory; empty where it does not exist yet.
        is_member: Whether the process was seen to have joined there.
        alike: Processes with the same program and parent that are services of their own, but may be meant as
            workers of one.
        remedy: What to do if the rules separate workers of one service; else empty.
    """

    pid: int
    service: str
    rule: str
    reason: str
    root: int | None = None
    steps: tuple[Step, ...] = ()
    directory: str = ""
    is_member: bool = False
    alike: tuple[int, ...] = ()
    remedy: str = ""

    def __str__(self) -> str:
        lines = [
            f"process {self.pid} belongs to service {self.service or '(none)'}",
            f"  by {self.rule}: {self.reason}",
        ]
        for step in self.steps:
            kin = "of the same service" if step.is_kin else "of another"
            lines.append(f"  process {step.child} and its parent {step.parent}, {kin}: {step.reason}")
        if self.directory:
            lines.append(
                f"  directory {self.directory}, {'joined' if self.is_member else 'not joined so far'}"
            )
        if self.alike:
            alike = ", ".join(map(str, self.alike))
            lines.append(f"  the same program under the same parent, and not joined: {alike}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


def explain(pid: int | None = None) -> Explanation:
    """Explain which service a process belongs to, without joining or changing anything.

    Args:
        pid: Any process of the same user; None is this one.

    Raises:
        ProcessLookupError: There is no such process, or /proc does not show it.
    """
    candidate = _candidate(pid)
    if is_tracker(candidate.command):
        reason = "it is multiprocessing's resource tracker, which is no worker of anything"
        return Explanation(candidate.pid, "", "none", reason)
    identity = _identity(candidate, is_self=pid in (None, os.getpid()))
    observed = _observed(candidate)
    directory = observed or _expected(candidate, identity)
    is_alone = identity.rule == "kernel" and identity.root is not None and identity.root == candidate.process
    alike = tuple(siblings_alike(candidate)) if is_alone else ()
    remedy = identity.remedy
    if alike:
        remedy = "if they are workers of one service, set OTEL_OBS_SERVICE_ID to one value for all of them"
    return Explanation(
        candidate.pid,
        os.path.basename(observed) or identity.nonce,
        identity.rule,
        identity.reason,
        identity.root.pid if identity.root is not None else None,
        identity.steps,
        directory,
        bool(observed),
        alike,
        remedy,
    )


def _candidate(pid: int | None) -> Candidate:
    if pid is None or pid == os.getpid():
        return this_candidate(process_environment(), sys.orig_argv)
    process = proc.look_up(pid)
    if process is None:
        raise ProcessLookupError(f"process {pid} is not there, or /proc does not show it")
    return Candidate(
        pid,
        process,
        process.parent,
        proc.command_of(pid),
        proc.environment_of(pid),
        lambda: proc.listening_sockets_of(pid),
        proc.directory_of(pid),
    )


def _identity(candidate: Candidate, *, is_self: bool) -> Identity:
    if is_self and Running.service is not None:
        return Running.service[0]
    return decide(candidate, _settings(candidate).service_id, FILES_VERSION)


def _settings(candidate: Candidate) -> Settings:
    try:
        return Settings.from_env(candidate.environ)
    except SettingError:
        return Settings()


def _observed(candidate: Candidate) -> str:
    """The run directory that a process has joined, by its open files in /proc."""
    for link in proc.files_of(candidate.pid).values():
        directory, name = os.path.split(link)
        if name == MEMBERS and os.path.basename(os.path.dirname(directory)).startswith(PREFIX):
            return directory
    return ""


def _expected(candidate: Candidate, identity: Identity) -> str:
    chosen = _settings(candidate).run_dir
    for base in [chosen] if chosen else default_bases(candidate.environ):
        if is_there([base], identity.nonce):
            return os.path.join(user_path_of(base), identity.nonce)
    return ""
