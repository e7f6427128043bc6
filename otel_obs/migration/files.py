"""Find the Python files below a path, and replace one atomically."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from otel_obs.errors import UnreadableError

FOREIGN = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})
"""Directories that are skipped, as are those with a name that starts with `.`, or with a pyvenv.cfg."""


def python_files(path: Path) -> Iterator[Path]:
    """A file itself, or every module below a directory, in the order of their names.

    Raises:
        UnreadableError: There is neither.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UnreadableError(str(path), "is no file and no directory") from None
    except OSError as error:
        raise UnreadableError(str(path), f"cannot be read: {error.strerror}") from None
    if stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and path.is_dir()):
        yield from _below(path)
    else:
        yield path


def _below(top: Path) -> Iterator[Path]:
    for directory, inner, files in os.walk(top):
        inner[:] = sorted(name for name in inner if not _is_foreign(directory, name))
        yield from (Path(directory, name) for name in sorted(files) if name.endswith(".py"))


def _is_foreign(directory: str, name: str) -> bool:
    return (
        name.startswith(".") or name in FOREIGN or os.path.exists(os.path.join(directory, name, "pyvenv.cfg"))
    )


def why_not_read(path: Path) -> str:
    """Why a file is not read; "" if it is. A link's target is read at its own place; a pipe may never end."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if stat.S_ISLNK(mode):
        return "is a symbolic link; name the file that it leads to"
    return "" if stat.S_ISREG(mode) else "is no regular file"


def write(path: Path, text: bytes) -> str:
    """Replace a file atomically, and keep its mode; return why that was not possible, or ""."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & stat.S_IWUSR or not os.access(path, os.W_OK):
            return "is read-only; make it writable and run the command again"
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fchmod(descriptor, mode)
        os.replace(name, path)
    except OSError as error:
        os.unlink(name)
        return f"cannot be written: {error.strerror}"
    return ""
