"""Applications of the package index, unchanged, each in a virtual environment of its own: all is counted.

`make applications` runs them: they are large, and are installed the first time, outside of the tree.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.applications import programs
from tests.support.processes import Service
from tests.support.programs import ROOT
from tests.support.samples import parse_samples
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(
    "APPLICATIONS" not in os.environ, reason="`make applications` installs and runs applications"
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "otel-obs" / "applications"
INSTALL_S, READY_S, LIMIT_S = 1800, 300, 2400
SENT, CLIENTS, SCRAPES = 90, 6, 8
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


class Application(NamedTuple):
    """An application, and the server under which its users run it.

    Attributes:
        packages: What is installed.
        command: What is started; `{port}` is filled in.
        paths: What clients ask for in turn.
        files: What lies beside it.
        ready: A path that answers when it is ready.
    """

    packages: tuple[str, ...]
    command: tuple[str, ...]
    paths: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()
    ready: str = "/metrics"


APPLICATIONS = {
    "httpbin": Application(
        ("httpbin", "gunicorn"),
        ("gunicorn", "--no-control-socket", "-w", "3", "-b", "127.0.0.1:{port}", "httpbin:app"),
        ("/get", "/status/404", "/uuid"),
    ),
    "dash": Application(
        ("dash", "gunicorn"),
        ("gunicorn", "--no-control-socket", "-w", "3", "-b", "127.0.0.1:{port}", "dashing:app"),
        ("/", "/_dash-layout"),
        (("dashing.py", programs.DASH),),
    ),
    "locust": Application(
        ("locust",),
        ("locust", "-f", "visitor.py", "--processes", "2", "--web-host", "127.0.0.1", "--web-port", "{port}"),
        ("/stats/requests", "/exceptions"),
        (("visitor.py", programs.LOCUST),),
    ),
    "sqladmin": Application(
        ("sqladmin", "greenlet", "fastapi", "uvicorn", "itsdangerous"),
        ("uvicorn", "--workers", "3", "--port", "{port}", "people:app"),
        ("/admin/", "/admin/person/list"),
        (("people.py", programs.SQLADMIN),),
    ),
    "mlflow": Application(
        ("mlflow",),
        (
            "mlflow",
            "server",
            "--workers",
            "2",
            "--port",
            "{port}",
            "--backend-store-uri",
            "sqlite:///m.sqlite",
        ),
        ("/health", "/version"),
    ),
    "litellm": Application(
        ("litellm[proxy]",),
        (
            "litellm",
            "--config",
            "echo.yaml",
            "--num_workers",
            "2",
            "--timeout_worker_healthcheck",
            str(READY_S),  # it imports for longer than uvicorn waits, where the machine is busy
            "--host",
            "127.0.0.1",
            "--port",
            "{port}",
        ),
        ("/health/liveliness", "/models"),
        (("echo.yaml", programs.LITELLM),),
    ),
    "bentoml": Application(
        ("bentoml",),
        ("bentoml", "serve", "echo:Echo", "--host", "127.0.0.1", "--port", "{port}"),
        ("/livez", "/docs.json"),
        (("echo.py", programs.BENTO),),
        "/livez",
    ),
}


def environment(name: str) -> Path:
    """The directory of commands of an application's virtual environment, which is made once."""
    packages = APPLICATIONS[name].packages
    key = hashlib.sha256(repr((packages, sys.version)).encode()).hexdigest()[:12]
    target = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix(".lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        python = target / "bin" / "python"
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if not (target / "installed").exists():
            shutil.rmtree(target, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", target], check=True)
            # Ours after it, as where an application is there: for both at once pip tries old versions long.
            subprocess.run([*install, *packages], check=True, timeout=INSTALL_S)
            subprocess.run([*install, str(ROOT)], check=True, timeout=INSTALL_S)
            (target / "installed").touch()
        # This checkout, whatever another one has left.
        subprocess.run([*install, "--no-deps", "--force-reinstall", str(ROOT)], check=True, timeout=INSTALL_S)
    return target / "bin"


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("situation", ["ordinary", "process 1"])
@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_request_is_counted(name: str, situation: str, base: Path, tmp_path: Path) -> None:
    if situation == "process 1" and (os.geteuid() != 0 or not shutil.which("unshare")):
        pytest.skip("needs root and unshare")
    application, commands = APPLICATIONS[name], environment(name)
    for file, text in application.files:
        (tmp_path / file).write_text(text)
    first, *rest = application.command
    front = (*(NAMESPACE if situation == "process 1" else ()), str(commands / "python"), "-m", "otel_obs.run")
    env = {"OTEL_OBS_RUN_DIR": str(base), "PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with Service(
        *front,
        str(commands / first),
        *rest,
        cwd=tmp_path,
        env=env,
        log_file=tmp_path / "log",
        ready_path=application.ready,
        ready_s=READY_S,
    ) as service:
        until(
            lambda: all(service.get(path).status < 500 for path in application.paths),
            f"{name} at work",
            READY_S,
        )
        for _ in range(SCRAPES):
            service.get("/metrics")
        before = counted(service)
        asked = [application.paths[number % len(application.paths)] for number in range(SENT)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = list(pool.map(lambda path: service.get(path).status, asked))
        assert max(answers) < 500
        seen = {counted(service) - before for _ in range(SCRAPES)}
        assert seen == {SENT}


def counted(service: Service) -> float:
    """The requests that a scrape shows, without those of a page of metrics of the application's own."""
    answer = service.get("/metrics")
    assert answer.status == 200, f"/metrics answered {answer.status}"
    samples = parse_samples(answer.text)
    return samples.total("http_requests_total") - samples.total("http_requests_total", endpoint="/metrics")
