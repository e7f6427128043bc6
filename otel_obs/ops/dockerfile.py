"""The image of a service: small, with a numeric user that is not root, and with a health check."""

from __future__ import annotations

import json
from collections.abc import Mapping

USER = 65532
"""A numeric id: for a user name, Kubernetes cannot verify that it is not root."""

_TEXT = """\
# The {name}, of the otel-obs of this tree. From the top of the repository:
#   docker build -f deploy/Dockerfile -t {name} .
# It runs with a read-only root; it writes to /dev/shm alone.
ARG BASE=python:3.12-slim
FROM ${{BASE}} AS build
WORKDIR /build
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY otel_obs/ otel_obs/
COPY {source}/requirements.txt ./
# OTLP over HTTP alone: what gRPC needs is larger than all the rest together.
RUN python3 -m venv /venv \\
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt \\
        '.[flask]' {packages} -r requirements.txt \\
    && rm -rf /venv/lib/python3*/site-packages/pip /venv/lib/python3*/site-packages/pip-* /venv/bin/pip*

FROM ${{BASE}}
WORKDIR /service
COPY --from=build /venv /venv
COPY {source}/ ./
ENV PATH=/venv/bin:/usr/local/bin:/usr/bin:/bin \\
    PYTHONUNBUFFERED=1 \\
    PYTHONDONTWRITEBYTECODE=1 \\
    {environment}
USER {user}:{user}
EXPOSE {port}
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \\
    CMD ["python3", "-c", "from urllib.request import *; urlopen('http://127.0.0.1:{port}/health')"]
# gunicorn's control socket lies in a home directory, which this user has not; its workers' heartbeats lie
# in a directory for temporary files, which a read-only root has not.
CMD {command}
"""

_IGNORED = """\
*
!pyproject.toml
!README.md
!LICENSE
!constraints.txt
!hatch_build.py
!otel_obs
!{source}
**/__pycache__
"""


_PACKAGES = "opentelemetry-exporter-otlp-proto-http", "opentelemetry-instrumentation-flask"
"""Packages that the service needs for spans and logs."""

_WORKERS = 4


def _gunicorn_command(port: int) -> list[str]:
    """The command of gunicorn, with options for a read-only root and a user without a home directory."""
    options = ["--no-control-socket", "--worker-tmp-dir", "/dev/shm", "-w", str(_WORKERS)]
    return ["opentelemetry-instrument", "--", "gunicorn", *options, "-b", f"0.0.0.0:{port}", "app:app"]


def dockerfile(name: str, source: str, port: int, environment: Mapping[str, str]) -> str:
    """The text of a Dockerfile, for a Flask application that answers `/health`.

    Args:
        name: The name of the service.
        source: Its directory, relative to the top of the repository.
        port: The port that it listens on.
        environment: Its variables.
    """
    return _TEXT.format(
        name=name,
        source=source,
        port=port,
        environment=" \\\n    ".join(f"{key}='{value}'" for key, value in environment.items()),
        packages=" ".join(_PACKAGES),
        user=USER,
        command=json.dumps(_gunicorn_command(port)),
    )


def dockerignore(source: str) -> str:
    """The text of a .dockerignore: it excludes everything except what the Dockerfile copies."""
    return _IGNORED.format(source=source)
