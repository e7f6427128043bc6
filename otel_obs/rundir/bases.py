"""The directories in which a run directory may be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from otel_obs.host.signals import tolerate


def _temporary() -> str:
    """The directory for temporary files; empty where there is none, as in a container that is read-only."""
    with tolerate(OSError):
        return tempfile.gettempdir()
    return ""


def default_bases(environ: Mapping[str, str]) -> list[str]:
    """The directories that may hold run directories, best first."""
    bases = ["/dev/shm", environ.get("XDG_RUNTIME_DIR", ""), _temporary()]
    return [base for base in dict.fromkeys(bases) if base and os.access(base, os.W_OK | os.X_OK)]
