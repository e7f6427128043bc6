"""The ports that a service listens on, and the run directory that its workers share."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Mapping, Sequence

from otel_obs.diagnosis.report import Diagnosis
from otel_obs.host import proc
from otel_obs.rundir.bases import default_bases
from otel_obs.rundir.directory import is_supported
from otel_obs.settings import Settings

SMALL_BYTES = 16 * 1024 * 1024
MIB = 1024 * 1024
RUN_DIRECTORY, PORTS = "run directory", "ports"


def examine_directory(diagnosis: Diagnosis, settings: Settings, environ: Mapping[str, str]) -> None:
    """Which run directory would be taken, and how much space it has."""
    if not is_supported():
        diagnosis.say(RUN_DIRECTORY, "shared files", "not on this platform: each process has its own numbers")
        diagnosis.warn("run directory", "cannot be had on this platform", "run the service on Linux")
        return
    bases = [settings.run_dir] if settings.run_dir else default_bases(environ)
    source = "OTEL_OBS_RUN_DIR" if settings.run_dir else "the first that is writable"
    if not bases:
        diagnosis.warn(
            "run directory",
            "there is none: neither /dev/shm nor a directory for temporary files is writable",
            "make one writable, or set OTEL_OBS_RUN_DIR",
        )
    for base in bases:
        if not os.access(base, os.W_OK | os.X_OK) or not os.path.isdir(base):
            diagnosis.warn(
                "OTEL_OBS_RUN_DIR", f"{base} is not a writable directory", "create it, or unset it"
            )
            continue
        free = os.statvfs(base).f_bavail * os.statvfs(base).f_frsize
        diagnosis.say(RUN_DIRECTORY, base, f"{free // MIB:,} MiB free", source)
        source = "where the one before has no room"
        if base == bases[0] and free < SMALL_BYTES:
            diagnosis.warn(
                base,
                f"has only {free // MIB} MiB free; workers that find no room count in their own memory",
                "give it more (`docker run --shm-size 128m`), or set OTEL_OBS_RUN_DIR",
            )


def examine_ports(
    diagnosis: Diagnosis, settings: Settings, ports: tuple[int, ...], is_http: bool = True
) -> None:
    """Where /metrics will be served, and whether the ports are taken already."""
    path = settings.metrics_path
    own = settings.prometheus_port
    if "prometheus" not in settings.metrics_exporters:
        diagnosis.say(PORTS, "metrics", "are not served", "OTEL_METRICS_EXPORTER")
    elif own is not None:
        at = f"{'https' if settings.metrics_tls_certificate else 'http'}://{settings.prometheus_host}:{own}/metrics"
        diagnosis.say(PORTS, "metrics", at, "OTEL_EXPORTER_PROMETHEUS_PORT")
    if "prometheus" in settings.metrics_exporters and not is_http and own is None:
        diagnosis.warn(
            "metrics",
            "are not served: this serves no HTTP",
            "set OTEL_EXPORTER_PROMETHEUS_PORT=9464, or OTEL_METRICS_EXPORTER=otlp",
        )
    elif "prometheus" in settings.metrics_exporters and settings.serves_on_app and is_http:
        where = ", ".join(map(str, ports)) or "its own"
        diagnosis.say(PORTS, "metrics", f"{path} on the application's port: {where}", "OTEL_OBS_METRICS_PATH")
    for port in ports:
        taken = is_taken(port)
        diagnosis.say(PORTS, "application", f"{port}, {'taken now' if taken else 'free now'}", "the command")
    if own is not None and own in ports:
        diagnosis.warn(
            "OTEL_EXPORTER_PROMETHEUS_PORT",
            f"is {own}, which the application listens on itself",
            "choose another port, or unset it: the application serves /metrics then",
        )
    elif own is not None and is_taken(own):
        diagnosis.say(
            PORTS, "port of its own", f"{own} is taken now", "by this service or by another process"
        )


def is_taken(port: int) -> bool:
    """Whether a process listens on a port of the loopback interface."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as connection:
                connection.settimeout(0.5)
                if connection.connect_ex((host, port)) == 0:
                    return True
        except OSError:
            continue
    return False


def ports_of(pids: Sequence[int]) -> tuple[int, ...]:
    """The TCP ports on which a server and its workers accept requests, from the kernel's socket tables.

    Where some of them share sockets, these are meant: one alone listens for a debugger, or for commands.
    """
    every = [proc.listening_sockets_of(pid).values() for pid in pids]
    counted = Counter(inode for sockets in every for inode in {inode for inode, _ in sockets})
    ports = {inode: port for sockets in every for inode, address in sockets if (port := _port_in(address))}
    shared = {port for inode, port in ports.items() if counted[inode] > 1}
    return tuple(sorted(shared or set(ports.values())))


def _port_in(address: str) -> int:
    """The port in an address as the kernel prints it; 0 for a Unix socket."""
    end = address.rpartition(":")[2]
    return int(end, 16) if len(end) == 4 and _is_hexadecimal(end) else 0


def _is_hexadecimal(text: str) -> bool:
    return all(c in "0123456789ABCDEFabcdef" for c in text)
