"""Draw dashboards by Grafana's own components in headless Chromium.

Usage: python -m tests.drawing.draw SCENES OUT
SCENES is what tests/ops/test_dashboards.py leaves in SCENE_DIR.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = (
    "package.json",
    "index.html",
    "vite.config.ts",
    "frames.ts",
    "main.tsx",
    "check.ts",
    "tsconfig.json",
)
WIDTH = 1416
LEAST_HEIGHT = 200
"""In pixels; a picture is as high as its dashboard."""
MISSING = (
    "node, npm and chromium are needed; on Debian: sudo apt-get install nodejs npm chromium fonts-noto-cjk"
)


class Quiet(SimpleHTTPRequestHandler):
    """Serves a directory and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def cache() -> Path:
    """Where everything that is downloaded and built goes: outside the tree."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "otel-obs"


def key_of(names: Sequence[str]) -> str:
    """What a build depends on, as the end of a directory's name."""
    found = hashlib.sha256()
    for name in names:
        found.update((HERE / name).read_bytes() if (HERE / name).exists() else b"")
    return found.hexdigest()[:16]


def packages() -> Path:
    """The directory with Grafana's packages, installed once for what `package.json` says."""
    directory = cache() / f"drawing-{key_of(['package.json'])}"
    if not (directory / "installed").exists():
        directory.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "package.json", directory)
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
        run([*command], directory)
        (directory / "installed").touch()
    return directory


def run(command: Sequence[str], directory: Path) -> str:
    """Run a command that has to succeed; what it printed.

    Raises:
        SystemExit: It failed.
    """
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def built() -> Path:
    """The page that draws, built once for its sources."""
    directory = packages()
    page = directory / f"page-{key_of(SOURCES)}"
    if not page.exists():
        for name in SOURCES:
            if (HERE / name).exists():
                shutil.copy(HERE / name, directory)
        run(["nice", "-n", "15", "npx", "vite", "build", "--outDir", str(page)], directory)
    return page


def note(errors: list[str], error: Exception) -> None:
    """Keep what a page has thrown; the browser's driver wants a function of its own for that."""
    errors.append(str(error))


def draw(scenes: Path, out: Path) -> list[Path]:
    """A picture of each scene.

    Raises:
        SystemExit: A tool is missing, or the page fails.
    """
    if not all(map(shutil.which, ("node", "npm", "chromium"))):
        sys.exit(MISSING)
    from playwright.sync_api import sync_playwright

    page_directory = built()
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(scenes, page_directory / "scenes", dirs_exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(page_directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scene in sorted(scenes.glob("*.json")):
            page = browser.new_page(viewport={"width": WIDTH, "height": LEAST_HEIGHT})
            errors: list[str] = []
            page.on("pageerror", partial(note, errors))
            page.goto(f"http://127.0.0.1:{server.server_address[1]}/?scene=scenes/{scene.name}")
            page.wait_for_selector("body[data-drawn]", timeout=60_000)
            if errors:
                sys.exit(f"{scene.name}: {errors}")
            target = out / f"{scene.stem}.png"
            page.screenshot(path=str(target), full_page=True)
            made.append(target)
            page.close()
        browser.close()
    server.shutdown()
    server.server_close()
    return made


if __name__ == "__main__":
    for picture in draw(Path(sys.argv[1]), Path(sys.argv[2])):
        print(picture)
