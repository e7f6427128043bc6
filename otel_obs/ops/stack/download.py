"""Download programs from the projects' release pages; an archive without the published SHA-256 is refused."""

from __future__ import annotations

import hashlib
import http.client
import io
import platform
import re
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from otel_obs.errors import OperationsError
from otel_obs.ops.refusals import refuse_url

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "armv7"}
_SYSTEMS = {"linux": "linux", "darwin": "darwin", "freebsd": "freebsd"}
_SUMS = "sha256sums.txt"
_MAX_BYTES, _PIECE, _TIMEOUT_S = 1 << 30, 1 << 20, 60.0
RELEASES = "https://github.com"


class Release(NamedTuple):
    """One project's release.

    Attributes:
        project: Its name, and its program's.
        version: Which release.
    """

    project: str
    version: str

    @property
    def path(self) -> str:
        """The page of the release, below `RELEASES`."""
        return f"prometheus/{self.project}/releases/download/v{self.version}"


RELEASES_FETCHED = (Release("prometheus", "3.5.0"), Release("alertmanager", "0.28.1"))
"""A long-term support release of Prometheus, and the Alertmanager of the same time."""


def this_system(system: str = "", machine: str = "") -> str:
    """The part of an archive's name for a system, such as `linux-amd64`.

    Raises:
        OperationsError: The projects have no build for it.
    """
    system, machine = (system or platform.system()).lower(), (machine or platform.machine()).lower()
    if system not in _SYSTEMS or machine not in _MACHINES:
        raise OperationsError(
            f"{system} on {machine}",
            "has no build of these projects",
            "install prometheus and alertmanager yourself",
        )
    return f"{_SYSTEMS[system]}-{_MACHINES[machine]}"


def fetch_release(
    release: Release,
    root: Path,
    base: str = RELEASES,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """Download one program, and put it into the stack's `bin`.

    Args:
        release: The release.
        root: The directory of the stack.
        base: The address of the releases, instead of the projects' own.
        say: Called with progress messages.

    Returns:
        The path of the program.

    Raises:
        OperationsError: It cannot be downloaded or written, or lacks the published checksum. Nothing is kept
            then.
    """
    refuse_url("--base", base)
    name = f"{release.project}-{release.version}.{this_system()}.tar.gz"
    page = f"{base.rstrip('/')}/{release.path}"
    expected = _published(_download(f"{page}/{_SUMS}").decode("utf-8", "replace"), name, f"{page}/{_SUMS}")
    say(f"fetching {page}/{name}")
    archive = _download(f"{page}/{name}")
    found = hashlib.sha256(archive).hexdigest()
    if found != expected:
        raise OperationsError(
            f"{page}/{name}",
            f"has the SHA-256 {found}, and {expected} is published",
            "nothing was installed; try again",
        )
    return _install(root / "bin" / release.project, _member(archive, release.project, f"{page}/{name}"))


def _install(target: Path, program: bytes) -> Path:
    partly = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partly.write_bytes(program)
        partly.chmod(0o755)
        partly.replace(target)
    except OSError as error:
        raise OperationsError(
            str(target), f"cannot be written: {error.strerror}", "choose another --dir"
        ) from None
    return target


def _published(sums: str, name: str, where: str) -> str:
    found = re.search(rf"^([0-9a-f]{{64}}) [ *]{re.escape(name)}$", sums, re.M)
    if found is None:
        raise OperationsError(
            where, f"has no sum of {name}", "there is no such build; choose another version"
        )
    return found[1]


def _download(url: str) -> bytes:
    parts: list[bytes] = []
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            length = answer.headers.get("Content-Length")
            while piece := answer.read(_PIECE):
                parts.append(piece)
                if len(parts) * _PIECE > _MAX_BYTES:
                    raise OperationsError(url, "is larger than 1 GiB")
    except urllib.error.HTTPError as error:
        with error:
            raise OperationsError(url, f"answered {error.code}", "there is no such release") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise OperationsError(url, f"cannot be fetched: {reason}", "look at the connection") from None
    body = b"".join(parts)
    if length is not None and length != str(len(body)):
        raise OperationsError(url, f"ended after {len(body)} of {length} bytes", "try again")
    return body


def _member(archive: bytes, program: str, where: str) -> bytes:
    """The content of the program in an archive; nothing is extracted to disk by a path of the archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                if member.isfile() and member.name.split("/")[1:] == [program]:
                    file = tar.extractfile(member)
                    if file is not None:
                        return file.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise OperationsError(where, f"is no archive: {error}") from None
    raise OperationsError(where, f"does not hold {program}")
