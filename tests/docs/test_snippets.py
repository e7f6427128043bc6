"""Every snippet of the README, of docs/ and of the examples is run; a document is one story."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.story import DOCUMENTS, ROOT, Snippet, Story, broken_links, is_like, read_snippets
from tests.support.ports import free_port


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_snippets_do_what_the_text_says(document: Path, tmp_path: Path) -> None:
    directory = tmp_path / "story"
    if "examples" in document.parts:
        shutil.copytree(document.parent, directory)
    else:
        directory.mkdir()

    with Story(directory, free_port()) as story:
        for snippet in read_snippets(document.read_text()):
            story.run(snippet)


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_snippet_that_is_not_run_says_why(document: Path) -> None:
    not_run = [s for s in read_snippets(document.read_text()) if s.directive == "not run"]

    assert [s.text for s in not_run if not s.argument] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_reader_sees_the_name_of_a_file(document: Path) -> None:
    files = [s for s in read_snippets(document.read_text()) if s.directive == "file"]

    assert [s.argument for s in files if not s.text.startswith(f"# {s.argument}\n")] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_variables_are_exported(document: Path) -> None:
    """A line `NAME=value` that is pasted into a shell does nothing to the programs that it starts."""
    shown = [s.text for s in read_snippets(document.read_text()) if s.language in {"sh", "console"}]

    assert [text for text in shown if re.search(r"^(OTEL|PROMETHEUS)_\w+=\S*$", text, re.MULTILINE)] == []


def test_snippets_are_read_with_their_directive_and_without_their_indent() -> None:
    markdown = (
        "1. Do\n\n   <!-- file: a.py -->\n   ```python\n   if x:\n       y()\n   ```\n\n```sh\nls\n```\n"
    )

    assert list(read_snippets(markdown)) == [
        Snippet("python", "if x:\n    y()\n", "file", "a.py"),
        Snippet("sh", "ls\n", "", ""),
    ]


@pytest.mark.parametrize(
    ("snippet", "reason"),
    [
        (Snippet("python", "1 / 0\n", "", ""), "ZeroDivisionError"),
        (Snippet("sh", "false\n", "", ""), "ended with 1"),
        (Snippet("console", "$ echo one\ntwo\n", "", ""), "printed:\none"),
    ],
)
def test_a_snippet_that_is_wrong_is_found(snippet: Snippet, reason: str, tmp_path: Path) -> None:
    with Story(tmp_path, free_port()) as story, pytest.raises(AssertionError, match=reason):
        story.run(snippet)


@pytest.mark.parametrize(
    ("output", "printed", "alike"),
    [
        ("a 1.5 b\n", "a … b\n", True),
        ("a\n", "a", True),
        ("a\nb\n", "a…\n", False),
        ("a.b", "a.b", True),
        ("axb", "a.b", False),
    ],
)
def test_an_ellipsis_stands_for_anything_within_a_line(output: str, printed: str, alike: bool) -> None:
    assert is_like(output, printed) is alike
