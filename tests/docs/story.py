"""Run the snippets of a Markdown document, one after the other, in one directory.

A comment on the line before a snippet says what it is, where its language does not say enough:

- `<!-- file: NAME -->` is a file that later snippets use; its first line is a comment with that name, so that
  a reader sees it too;
- `<!-- environment -->` exports variables, for all snippets that follow; with `: alone` for none;
- `<!-- serves -->` starts a server, which runs until the next one is started or the document ends;
- `<!-- serves: flask -->` or `fastapi` does so with an application of that framework, and ends it at once;
- `<!-- not run: REASON -->` is not run.

Port 8000 stands for a free one. In `console`, lines that begin with `$` are commands, the rest is what they
print, with `…` for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from otel_obs.settings import SETTINGS, Settings
from tests.support.processes import Service, clean_env
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / "README.md", ROOT / "SECURITY.md"),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]
STUB_TOOLS = ROOT / "tests" / "docs" / "bin"
PORT = "8000"
ANYTHING = "…"
COMMAND_S = 200.0

FENCE = re.compile(
    r"(?:^ *<!-- (?P<directive>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
SHOWN = "text", "promql", "mermaid"  # languages that show something and are no program
SHELLS_OWN = {"PWD", "SHLVL", "_", "OLDPWD"}

APPLICATIONS = {
    "flask": "from flask import Flask\napp = Flask(__name__)\n",
    "fastapi": "from fastapi import FastAPI\napp = FastAPI()\n",
}


class Snippet(NamedTuple):
    """One fenced block; `directive` is what the comment before it says."""

    language: str
    text: str
    directive: str
    argument: str


def read_snippets(markdown: str) -> Iterator[Snippet]:
    """The fenced blocks of a document, in order."""
    for found in FENCE.finditer(markdown):
        indent = len(found["indent"])
        text = "".join(line[indent:] for line in found["text"].splitlines(keepends=True))
        directive, _, argument = (found["directive"] or "").partition(":")
        yield Snippet(found["language"], text, directive.strip(), argument.strip())


class Story:
    """The directory, the port and the server of one document; a context manager."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self._port = str(port)
        self._server: Service | None = None
        path = os.pathsep.join([str(STUB_TOOLS), str(Path(sys.executable).parent), os.environ["PATH"]])
        self._env = {
            "PATH": path,
            "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port}",
            "UVICORN_PORT": self._port,
            "PYTHONPATH": str(directory),
        }
        self._directives: dict[str, Callable[[Snippet], None]] = {
            "file": self._write_file,
            "environment": self._export,
            "serves": self._serve,
            "not run": lambda snippet: None,
        }
        self._languages: dict[str, Callable[[Snippet], None]] = {
            "python": self._run_python,
            "sh": lambda snippet: self._check_command(snippet.text, None),
            "console": self._run_console,
            **dict.fromkeys(SHOWN, lambda snippet: None),
        }

    def __enter__(self) -> Story:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def run(self, snippet: Snippet) -> None:
        """Run one snippet.

        Raises:
            AssertionError: It fails, or does not do what the document says.
            KeyError: It is of a kind that cannot be run.
        """
        snippet = snippet._replace(text=snippet.text.replace(PORT, self._port))
        if snippet.directive:
            self._directives[snippet.directive](snippet)
        else:
            self._languages[snippet.language](snippet)

    def _write_file(self, snippet: Snippet) -> None:
        file = self.directory / snippet.argument
        file.write_text(snippet.text)
        if file.suffix == ".py":
            self._check_command(f"python {file.name}", None)
        elif file.name == "prometheus.yml" and shutil.which("promtool"):
            self._check_command(f"promtool check config {file.name}", None)

    def _export(self, snippet: Snippet) -> None:
        """What the lines set, as a shell would; a setting that is wrong or that nobody knows is an error."""
        shown = subprocess.run(
            ["env", "-i", "bash", "-euc", f"{snippet.text}env -0"], capture_output=True, text=True, check=True
        ).stdout
        exported = dict(line.split("=", 1) for line in shown.split("\0") if line)
        exported = {name: value for name, value in exported.items() if name not in SHELLS_OWN}
        assert len(exported) == snippet.text.count("export "), f"not every line exports:\n{snippet.text}"
        Settings.from_env(exported)
        unknown = {name for name in exported if name.startswith("OTEL_OBS_")} - {s.variable for s in SETTINGS}
        assert unknown == set()
        if snippet.argument != "alone":
            self._env.update(exported)

    def _serve(self, snippet: Snippet) -> None:
        self._stop()
        if snippet.argument:
            (self.directory / "app.py").write_text(APPLICATIONS[snippet.argument])
        server = Service(
            *("bash", "-c", f"exec {snippet.text.strip()}"),
            cwd=self.directory,
            env=self._env,
            log_file=self.directory / "server.log",
            ready_path="/metrics",
        )
        server.url = f"http://127.0.0.1:{self._port}"
        self._server = server.__enter__()
        assert server.get("/metrics").status == 200, f"{snippet.text}: no /metrics\n{server.log}"
        if snippet.argument:
            self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _run_python(self, snippet: Snippet) -> None:
        (self.directory / "snippet.py").write_text(snippet.text)
        self._check_command("python snippet.py", None)

    def _run_console(self, snippet: Snippet) -> None:
        for command, _, printed in (part.partition("\n") for part in snippet.text.split("$ ")[1:]):
            self._check_command(command, printed)

    def _check_command(self, command: str, printed: str | None) -> None:
        """Run a command and compare what it prints; metrics are asked again: they follow a moment later."""
        if printed is None or "/metrics" not in command:
            problem = self._try_command(command, printed)
            assert not problem, problem
        else:
            until(
                lambda: not self._try_command(command, printed),
                self._try_command(command, printed) or command,
            )

    def _try_command(self, command: str, printed: str | None) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env=clean_env(self._env),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        if done.returncode != 0:
            return f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if printed is not None and not is_like(done.stdout, printed):
            return f"{command}\nprinted:\n{done.stdout}{done.stderr}\nthe text says:\n{printed}"
        return ""


def is_like(output: str, printed: str) -> bool:
    """Whether *output* is *printed*, in which `…` stands for anything within a line."""
    pattern = "".join(
        ".*" if part == ANYTHING else re.escape(part) for part in re.split(f"({ANYTHING})", printed.rstrip())
    )
    return re.fullmatch(pattern, output.rstrip()) is not None


def broken_links(document: Path) -> list[str]:
    """The links of a document to files or headings that are not there."""
    broken = []
    for found in LINK.finditer(document.read_text()):
        target = (document.parent / found[1]) if found[1] else document
        if not target.exists() or (found[2] and found[2] not in anchors(target)):
            broken.append(found[0])
    return broken


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document, and those that it sets itself."""
    text = document.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    given = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return given | set(re.findall(r'<a id="([^"]+)"></a>', text))
