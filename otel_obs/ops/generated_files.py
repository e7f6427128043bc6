"""Generated files on the disk: what was changed by hand is kept, what is no longer generated goes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from otel_obs.errors import OperationsError

MANIFEST = ".otel-obs-generated.json"
"""Holds the digest of each file at its last generation; a file with another one was changed by hand."""


def write_files(out: Path, files: Mapping[str, str], force: bool = False) -> list[str]:
    """Write the files that differ; a file that was changed by hand is not overwritten.

    Prometheus and Grafana read whole directories. So a file of an earlier run beside those of this one is
    removed, where it is no longer generated: it would speak of metrics that the service has no more.

    Args:
        out: The directory, which is created.
        files: Texts by path.
        force: Whether to write over, and remove, what was changed by hand.

    Returns:
        The paths that were written, and those that were removed.

    Raises:
        OperationsError: A file was changed by hand, or was not generated; nothing is written then.
    """
    manifest = out / MANIFEST
    before = _read_manifest(manifest)
    stale = [path for path, text in files.items() if _read(out / path) != text]
    left = _left_over(out, files, before)
    changed = [path for path in (*stale, *left) if _is_changed(out / path, before.get(path, ""))]
    if changed and not force:
        raise OperationsError(
            ", ".join(str(out / path) for path in changed),
            "was changed by hand, or is not one that was generated",
            "move it away, or write over it with --force",
        )
    digests = {**before, **{path: _digest(text) for path, text in files.items() if path not in stale}}
    try:
        for path in stale:
            _write(out / path, files[path])
            digests[path] = _digest(files[path])
        for path in left:
            _remove(out / path)
            del digests[path]
    except OperationsError:
        # What was written before would look changed by hand at the next run, and so would a half of a file.
        halves = {path: text for path in stale if (text := _half_of(out / path, files[path])) is not None}
        with contextlib.suppress(OperationsError):
            _write_manifest(manifest, digests | {path: _digest(text) for path, text in halves.items()})
        raise
    _write_manifest(manifest, digests)
    return [*stale, *left]


def _half_of(path: Path, text: str) -> str | None:
    """The beginning of a text, where a file has no more of it: the disk was full."""
    with contextlib.suppress(OperationsError):
        found = _read(path)
        if found is not None and len(found) < len(text) and text.startswith(found):
            return found
    return None


def _left_over(out: Path, files: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """What was generated earlier in a directory below *out* that this run fills, and is generated no more."""
    filled = {Path(path).parent for path in files} - {Path()}
    return [
        path
        for path in before
        if path not in files and Path(path).parent in filled and (out / path).is_file()
    ]


def stale_files(out: Path, files: Mapping[str, str]) -> list[str]:
    """The paths of files that differ from the generated ones, or that would not be generated."""
    present = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} - {MANIFEST}
    return sorted(
        {path for path, text in files.items() if _read(out / path) != text} | (present - set(files))
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise OperationsError(str(path), "would be in a file", "choose another directory") from None
    except OSError as error:
        raise OperationsError(str(path), f"cannot be read: {error.strerror}", "move it away") from None
    except UnicodeDecodeError as error:
        raise OperationsError(str(path), f"cannot be read: {error}", "move it away") from None


def _is_changed(path: Path, digest: str) -> bool:
    text = _read(path)
    return text is not None and _digest(text) != digest


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    """Write into the file that is there: a container that has it mounted by itself would not see another."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperationsError(
            str(path), f"cannot be written: {error.strerror}", "choose another directory"
        ) from None


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise OperationsError(
            str(path), f"cannot be removed: {error.strerror}", "remove it yourself"
        ) from None


def _write_manifest(path: Path, digests: Mapping[str, str]) -> None:
    """Write the manifest whole, or leave the one before: without it every file looks changed by hand."""
    partly = path.with_suffix(".part")
    _write(partly, json.dumps(digests, indent=1) + "\n")
    try:
        partly.replace(path)
    except OSError as error:
        raise OperationsError(str(path), f"cannot be written: {error.strerror}", "move it away") from None
