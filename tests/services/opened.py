"""Shows another user what an installation has, be it in a home that is closed to others."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from tests.support.programs import ROOT

_OPEN = """
mount --rbind "$1" /mnt && mount -t tmpfs -o mode=755 none "$1" || exit 1
home=$1 count=$2
shift 2
for _ in $(seq "$count"); do
    mkdir "$home/$1" && mount --rbind "/mnt/$1" "$home/$1" || exit 1
    shift
done
cd "$1" && shift && exec "$@"
"""
"""Arguments: a closed directory, how many directories in it to show, their names, where to go, a command."""


def _closed() -> dict[Path, set[str]]:
    """The directories that others may not enter, and what is needed of each."""
    found: dict[Path, set[str]] = {}
    for needed in (ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()):
        way = [*reversed(needed.parents), needed]
        for number, each in enumerate(way[:-1]):
            if not each.stat().st_mode & 0o001:
                found.setdefault(each, set()).add(way[number + 1].name)
                break
    return found


def front() -> list[str]:
    """What stands before a command that another user is to see its files; nothing where they are open."""
    words: list[str] = []
    for closed, needed in _closed().items():
        show = ["/bin/sh", "-c", _OPEN, "sh", str(closed), str(len(needed)), *sorted(needed), str(ROOT)]
        words += ["unshare", "--mount", *show]
    return words


@functools.cache
def is_possible() -> bool:
    """Whether a process of root may become another user, who may then read this checkout and its Python."""
    if os.geteuid() != 0:
        return False
    code = f"import os; os.setuid(65534); os.execv({sys.executable!r}, ['python', '-c', 'import otel_obs'])"
    try:
        done = subprocess.run([*front(), sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    return done.returncode == 0
