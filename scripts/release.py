"""Do all of a release but the upload, and print what is left for a person.

Usage: python scripts/release.py [--rehearse]
  --rehearse  also from a tree that is not ready: without its heading in the changelog, or with changes

Builds the wheel and the source distribution, installs them in clean environments with and without each extra,
by the pip that this Python brings and by the newest, runs a service of four workers, and writes to dist/:
checksums, an SBOM in CycloneDX's format, and the constraints that were tested.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
SMOKE = ROOT / "tests" / "release" / "smoke.py"
EXTRAS = ("", "flask", "fastapi", "otlp", "tracing", "cli", "dashboards", "all")
TRY = """
import otel_obs, otel_obs.prometheus
otel_obs.configure()
assert b"otel_obs_workers" in otel_obs.get_metrics()[0]
"""
REST = """
Left for a person, in this order:
  git tag --sign v{version} && git push origin v{version}
  python -m twine upload dist/*.whl dist/*.tar.gz
  make a release of the tag with SHA256SUMS, constraints.txt and the SBOM from dist/
"""


class ReleaseError(Exception):
    """It cannot be released; the message says why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Build, try and write; the exit code."""
    version = version_of((ROOT / "pyproject.toml").read_text())
    try:
        if "--rehearse" not in arguments:
            check_tree(version)
        built = build()
        try_out(built)
        describe(built, version)
    except (ReleaseError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(REST.format(version=version))
    return 0


def version_of(project: str) -> str:
    """The version that pyproject.toml states."""
    found = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    if found is None:
        raise ReleaseError('pyproject.toml has no line like: version = "0.2.0"')
    return found[1]


def check_tree(version: str) -> None:
    """Have nothing uncommitted, every generated page fresh, and the version in the changelog.

    Raises:
        ReleaseError: It is otherwise.
    """
    changed = run("git", "status", "--porcelain", at=ROOT)
    if changed:
        raise ReleaseError(f"there are changes that are not committed; commit them first:\n{changed}")
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise ReleaseError(
            f"CHANGELOG.md has no heading `## [{version}] - YYYY-MM-DD`; rename [Unreleased] to it"
        )
    run(sys.executable, "scripts/docs.py", "--check", at=ROOT)


def build() -> list[Path]:
    """The wheel and the source distribution; both are made from the tree, the wheel from the other one."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT))
    return sorted([*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")])


def try_out(built: Sequence[Path]) -> None:
    """Install and start each in clean environments."""
    wheel = next(file for file in built if file.suffix == ".whl")
    for is_old in (True, False):
        for extra in EXTRAS:
            print(
                f"{wheel.name}[{extra}] by {'the pip that Python brings' if is_old else 'the newest pip'}",
                flush=True,
            )
            with tempfile.TemporaryDirectory() as directory:
                run(str(installed(Path(directory), wheel, extra, is_old)), "-c", TRY)
    for file in built:
        with tempfile.TemporaryDirectory() as directory:
            python = installed(Path(directory), file, "flask", True, "gunicorn")
            print(f"{file.name}: {run(str(python), str(SMOKE)).strip()}", flush=True)


def installed(environment: Path, file: Path, extra: str, is_old: bool, *more: str) -> Path:
    """The Python of a clean environment that has *file* with *extra*."""
    run(sys.executable, "-m", "venv", str(environment))
    python = environment / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    if not is_old:
        run(*pip, "--upgrade", "pip")
    wanted = f"otel-obs[{extra}] @ {file.as_uri()}" if extra else str(file)
    run(*pip, "--constraint", str(ROOT / "constraints.txt"), wanted, *more)
    return python


def describe(built: Sequence[Path], version: str) -> None:
    """Write what goes beside the packages."""
    shutil.copy(ROOT / "constraints.txt", DIST / "constraints.txt")
    wheel = next(file for file in built if file.suffix == ".whl")
    with tempfile.TemporaryDirectory() as directory:
        python = installed(Path(directory, "service"), wheel, "all", False)
        run(sys.executable, "-m", "venv", f"{directory}/tools")
        tools = Path(directory, "tools", "bin")
        run(str(tools / "python"), "-m", "pip", "install", "--quiet", "cyclonedx-bom>=7")
        sbom = DIST / f"otel_obs-{version}.cdx.json"
        run(str(tools / "cyclonedx-py"), "environment", "--output-file", str(sbom), str(python))
    described = [*built, DIST / "constraints.txt", sbom]
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in described]
    (DIST / "SHA256SUMS").write_text("".join(sums))


def run(*command: str, at: Path | None = None) -> str:
    """What a command prints.

    Raises:
        ReleaseError: It failed.
    """
    done = subprocess.run(command, cwd=at, capture_output=True, text=True)
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
