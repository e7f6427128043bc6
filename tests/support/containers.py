"""Containers without a container engine: images by buildah, run by the kernel's own means."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import leftovers
from tests.support.programs import ROOT

CERTIFICATES = Path("/etc/ssl/certs")
SHARED_MEMORY = "64m"
NAMESPACES = ("unshare", "--pid", "--mount", "--ipc", "--uts", "--fork", "--kill-child")

# What a container runtime does: namespaces, a root that is read-only, memory of its own, a user. Process 1 is
# executed anew at every step, and is the server in the end.
RUNTIME = f"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
for place in dev proc; do mkdir -p "$1/$place"; done
mount -o remount,bind,ro "$1"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o size={SHARED_MEMORY},mode=1777 tmpfs "$1/dev/shm"
mount -t proc proc "$1/proc"
cd /
root=$1; user=$2; shift 2
exec chroot --userspec="$user" --groups= "$root" /usr/bin/env -i --chdir=/service "$@"
"""


class BuiltImage(NamedTuple):
    """An image's root, and what it says of itself."""

    root: Path
    user: str
    environ: dict[str, str]
    command: list[str]
    config: dict[str, Any]


def output_of(*command: str, cwd: Path = ROOT) -> str:
    """What a command prints; the log of one that fails is in the error."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    return done.stdout.strip()


def base_image() -> str:
    """The name of an image of Debian with Python; where none can be had, the test is skipped."""
    if os.geteuid() != 0:
        pytest.skip("an image is built and run by root")
    based = subprocess.run([ROOT / "scripts" / "base-image"], capture_output=True, text=True)
    if based.returncode == 3:
        pytest.skip(f"no base image can be had: {based.stderr[-500:]}")
    assert based.returncode == 0, based.stderr[-3000:]
    return based.stdout.strip()


@contextlib.contextmanager
def built(context: Path, file: Path) -> Iterator[BuiltImage]:
    """An image of a Dockerfile whose argument BASE is the base image; it is removed at the end."""
    base = base_image()
    name = f"localhost/otel-obs-test:{os.getpid()}"
    network = ("--isolation", "chroot", "--network", "host", "--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro")
    given = ("--format", "docker", "--file", str(file), "--build-arg", f"BASE={base}", "-t", name)
    output_of("buildah", "bud", "--pull-never", *network, *given, ".", cwd=context)
    container = output_of("buildah", "from", "--pull-never", name)
    try:
        root = Path(output_of("buildah", "mount", container))
        config = json.loads(output_of("buildah", "inspect", container))["Docker"]["config"]
        environ = dict(entry.split("=", 1) for entry in config["Env"])
        yield BuiltImage(root, config["User"], environ, config["Cmd"], config)
    finally:
        output_of("buildah", "rm", container)
        output_of("buildah", "rmi", name)


def run_container(
    image: BuiltImage, command: Sequence[str], log: Path, variables: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Run a command as process 1, with a read-only root, as the image's user; `leftovers` knows of it."""
    environ = [f"{name}={value}" for name, value in image.environ.items()]
    words = [*environ, *variables, *command]
    with log.open("wb") as file:
        runtime = subprocess.Popen(
            [*NAMESPACES, "/bin/sh", "-c", RUNTIME, "sh", str(image.root), image.user, *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    leftovers.watch(runtime.pid)
    return runtime
