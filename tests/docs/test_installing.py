"""A page that a reader follows begins with all that its snippets need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.story import ROOT, Snippet, read_snippets

GUIDES = [
    page
    for folder in ("learn", "how-to", "operations")
    for page in sorted((ROOT / "docs" / folder).glob("*.md"))
    if page.name not in {"install.md"}
] + [
    ROOT / "docs" / name
    for name in ("live.md", "logs.md", "migrate.md", "production.md", "testing.md", "tracing.md")
]
INSTALL = re.compile(r"`pip install -c constraints\.txt ([^`]+)`")
PROGRAMS = "gunicorn", "uvicorn", "hypercorn", "granian", "uwsgi", "celery", "pytest"
MODULES = "flask", "fastapi", "starlette", "django", "celery"
BRING = {"fastapi": {"starlette"}}
DASHBOARDS = re.compile(r"otel-obs (?:generate (?:all|grafana|kubernetes|docker)|stack up)")


def needs(snippet: Snippet) -> Iterator[str]:
    """The packages and extras that a snippet needs."""
    if snippet.directive == "serves" and snippet.argument:
        yield snippet.argument
    if snippet.language in {"sh", "console"}:
        for program in PROGRAMS:
            if re.search(rf"(?:^|-- |-m |\$ ){program}\b", snippet.text, re.MULTILINE):
                yield program
        if re.search(r"^(?:\$ )?otel-obs ", snippet.text, re.MULTILINE):
            yield "cli"
        if DASHBOARDS.search(snippet.text):
            yield "dashboards"
    if snippet.language == "python":
        yield from (
            module
            for module in MODULES
            if re.search(rf"^(?:from|import) {module}\b", snippet.text, re.MULTILINE)
        )


def installed(command: str) -> set[str]:
    """The packages and extras that a command installs."""
    names = set(re.findall(r"[\w-]+", command))
    return names.union(*(BRING.get(name, set()) for name in names))


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_installs_what_its_snippets_need(page: Path) -> None:
    text = page.read_text()
    found = INSTALL.search(text)
    assert found is not None, "it says nowhere what to install"

    wanted = {need for snippet in read_snippets(text) for need in needs(snippet)}

    assert wanted - installed(found[1]) == set()
    first = next(iter(read_snippets(text[found.start() :])), None)
    assert first is None or text.find(first.text.splitlines()[0]) > found.start() or page.name == "docker.md"


def test_no_page_tells_to_install_from_an_index_that_has_it_not() -> None:
    told = [
        str(page.relative_to(ROOT))
        for page in [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
        for snippet in read_snippets(page.read_text())
        if re.search(r"^pip install 'otel-obs", snippet.text, re.MULTILINE) and "until" not in snippet.text
    ]

    assert told == []
