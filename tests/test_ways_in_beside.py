"""Which distribution the wrapper loads where OpenTelemetry's own is installed too."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.processes import clean_env
from tests.support.samples import parse_samples

ROOT = Path(__file__).parent.parent
INSTALL_S = 240

PROGRAM = """
from flask import Flask

app = Flask("shop")
app.add_url_rule("/items/<int:number>", view_func=lambda number: str(number))
client = app.test_client()
client.get("/items/7")
print(client.get("/metrics").text)
"""
LABELS = {"method": "GET", "endpoint": "/items/<int:number>", "status_code": "200"}
OTHER_IS_LOADED = (
    "another OpenTelemetry distribution was loaded; to use otel_obs set "
    "OTEL_PYTHON_DISTRO=otel_obs OTEL_PYTHON_CONFIGURATOR=otel_obs"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(directory)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    return str(next(directory.glob("*.whl")))


def install(directory: Path, *steps: tuple[str, ...]) -> Path:
    """A new environment with what *steps* install, one after the other; its commands."""
    venv.create(directory, with_pip=True)
    commands = directory / "bin"
    pip = [str(commands / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    for step in steps:
        try:
            subprocess.run(
                [*pip, *constraints, *step], check=True, capture_output=True, text=True, timeout=INSTALL_S
            )
        except subprocess.CalledProcessError as error:
            pytest.skip(f"pip cannot install {' '.join(step)}: {error.stderr.strip()[-300:]}")
        except subprocess.TimeoutExpired:
            pytest.skip(f"pip has not installed {' '.join(step)} within {INSTALL_S} s")
    return commands


def run(commands: Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(commands / "opentelemetry-instrument"), str(commands / "python"), "-c", PROGRAM],
        cwd=cwd,
        env=clean_env(env),
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.timeout(4 * INSTALL_S)
@pytest.mark.parametrize("is_first", [True, False], ids=["installed first", "installed last"])
def test_ours_is_chosen_beside_opentelemetrys_own(is_first: bool, wheel: str, tmp_path: Path) -> None:
    ours, others = (f"{wheel}[flask]",), ("opentelemetry-distro",)
    commands = install(tmp_path / "venv", *((ours, others) if is_first else (others, ours)))

    done = run(commands, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert parse_samples(done.stdout).value("http_requests_total", **LABELS) == 1

    chosen = {
        "OTEL_PYTHON_DISTRO": "distro",
        "OTEL_PYTHON_CONFIGURATOR": "configurator",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }
    done = run(commands, tmp_path, **chosen)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (0, [OTHER_IS_LOADED])
    assert "http_requests_total" not in done.stdout
