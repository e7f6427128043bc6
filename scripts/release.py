"""Do all of a release but the upload, and print what is left for a person.

Usage: python scripts/release.py [--rehearse]
  --rehearse  also from a tree that is not ready: without its heading in the changelog, or with changes

Builds the source distribution, from it a wheel for every platform, and, where Docker or Podman is, wheels
with the compiled paths for Linux. Checks their metadata as the index's uploader does. Installs them in clean
environments with and without each extra, by the pip that this Python brings and by the newest, and tries what
each extra promises; runs a service of four workers; and writes to dist/: checksums, an SBOM in CycloneDX's
format, and the constraints that were tested.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
SMOKE = ROOT / "tests" / "release" / "smoke.py"
PROMISES = ROOT / "tests" / "release" / "promises.py"
# An index refuses wheels of one machine: `linux_x86_64` says nothing of the libraries that a wheel needs.
PUBLISHED = re.compile(r"-(any|(?:manylinux|musllinux|macosx)[\w.]+)\.whl$")
REST = """
Left for a person, in this order:
  git tag --sign v{version} && git push origin v{version}
  python -m pip install twine && python -m twine upload dist/*.whl dist/*.tar.gz
  make a release of the tag with SHA256SUMS, constraints.txt and the SBOM from dist/
"""
UNCOMPILED = """
Neither Docker nor Podman answers here, so dist/ has no wheels with the compiled paths, which make recording
faster. Where one of them is, this script builds them too; macOS's are built on macOS, by cibuildwheel.
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
        check_names(built)
        check_metadata(built)
        try_out(built)
        describe(built, version)
    except (ReleaseError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(REST.format(version=version) + ("" if container_engine() else UNCOMPILED))
    return 0


def version_of(project: str) -> str:
    """The version that pyproject.toml states."""
    found = re.search(r'^version = "([^"]+)"$', project, re.MULTILINE)
    if found is None:
        raise ReleaseError('pyproject.toml has no line like: version = "0.2.0"')
    return found[1]


def check_tree(version: str) -> None:
    """Have nothing uncommitted, every page fresh, the version in the changelog, and no tag of it yet.

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
    if run("git", "tag", "--list", f"v{version}", at=ROOT).strip():
        raise ReleaseError(f"the tag v{version} is there already; raise the version in pyproject.toml")
    run(sys.executable, "scripts/docs.py", "--check", at=ROOT)
    run(sys.executable, "scripts/translations.py", at=ROOT)


def build() -> list[Path]:
    """The source distribution and, made from it, the wheels."""
    shutil.rmtree(DIST, ignore_errors=True)
    # Without compiled paths: the wheel for whatever has none of its own.
    run(sys.executable, "-m", "build", "--outdir", str(DIST), str(ROOT), OTEL_OBS_BUILD_COMPILED="off")
    engine = container_engine()
    if engine:
        (source,) = DIST.glob("*.tar.gz")
        with tempfile.TemporaryDirectory() as directory:
            tools = Path(directory, "tools")
            run(sys.executable, "-m", "venv", str(tools))
            run(str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "cibuildwheel>=3,<4")
            run(
                *(str(tools / "bin" / "python"), "-m", "cibuildwheel"),
                *("--platform", "linux", "--archs", "auto", "--output-dir", str(DIST), str(source)),
                CIBW_CONTAINER_ENGINE=engine,
            )
    return sorted([*DIST.glob("*.whl"), *DIST.glob("*.tar.gz")])


def container_engine() -> str:
    """What cibuildwheel can build in; "" where neither is, or answers."""
    for engine in ("docker", "podman"):
        if shutil.which(engine) and subprocess.run([engine, "info"], capture_output=True).returncode == 0:
            return engine
    return ""


def check_names(built: Sequence[Path]) -> None:
    """Have a source distribution, a wheel for every platform, and nothing that an index refuses.

    Raises:
        ReleaseError: It is otherwise.
    """
    refused = [file.name for file in built if file.suffix == ".whl" and not PUBLISHED.search(file.name)]
    if refused:
        raise ReleaseError(f"no index takes {', '.join(refused)}: they are for this machine alone")
    for kind in (".tar.gz", "-none-any.whl"):
        if not any(file.name.endswith(kind) for file in built):
            raise ReleaseError(f"dist/ has no file that ends with {kind}")


def check_metadata(built: Sequence[Path]) -> None:
    """Have the index's own uploader find nothing wrong with what the packages say of themselves.

    Raises:
        ReleaseError: It finds something.
    """
    with tempfile.TemporaryDirectory() as directory:
        run(sys.executable, "-m", "venv", directory)
        python = str(Path(directory, "bin", "python"))
        run(python, "-m", "pip", "install", "--quiet", "twine>=6.1,<7")
        run(python, "-m", "twine", "check", "--strict", *map(str, built))


def extras_of(wheel: Path) -> list[str]:
    """The extras that a wheel declares, and "" for none of them."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
    return ["", *metadata.get_all("Provides-Extra", [])]


def try_out(built: Sequence[Path]) -> None:
    """Install and start each in clean environments."""
    wheel = next(file for file in built if file.name.endswith("-none-any.whl"))
    for is_old in (True, False):
        for extra in extras_of(wheel):
            print(
                f"{wheel.name}[{extra}] by {'the pip that Python brings' if is_old else 'the newest pip'}",
                flush=True,
            )
            with tempfile.TemporaryDirectory() as directory:
                python = installed(Path(directory), wheel, extra, is_old)
                run(str(python), str(PROMISES), extra, CONSTRAINTS=str(ROOT / "constraints.txt"))
    for file in built:
        if file.suffix == ".whl" and file != wheel:
            continue  # cibuildwheel has tried it
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
        run(str(tools / "python"), "-m", "pip", "install", "--quiet", "cyclonedx-bom>=7,<8")
        sbom = DIST / f"otel_obs-{version}.cdx.json"
        run(
            *(str(tools / "cyclonedx-py"), "environment", "--output-reproducible"),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "library"),
            *("--output-file", str(sbom), str(python)),
        )
    described = [*built, DIST / "constraints.txt", sbom]
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in described]
    (DIST / "SHA256SUMS").write_text("".join(sums))


def run(*command: str, at: Path | None = None, **env: str) -> str:
    """What a command prints; *env* are variables besides those of this process.

    Raises:
        ReleaseError: It failed.
    """
    done = subprocess.run(command, cwd=at, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode != 0:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
