"""A page in another language says what its English page says today."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.comparison import pages
from scripts import translations
from scripts.translations import DOCS, ENGLISH, LANGUAGES, ROOT

LOCAL = ENGLISH["local.md"]
KOREAN = DOCS / "ko" / "local.md"


def test_translations_are_of_the_english_pages_as_they_stand() -> None:
    assert list(translations.stale()) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_a_language_translates_one(language: str) -> None:
    assert {page.name for page in (DOCS / language).glob("*.md")} == set(ENGLISH)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("otel-obs stack fetch\n", "otel-obs stack get\n", "the snippet differs from English: '```sh'"),
        ("`--port prometheus=9091`", "`--port prometheus=9092`", "code --port prometheus=9092 is missing"),
        ("killed after 15 seconds", "killed after 20 seconds", "number 20 is missing"),
        ("killed after 15 seconds", "killed after some seconds", "number 15 is not in English"),
        ("[Dashboards](dashboards.md)", "[Alerts](alerts.md)", "link docs/operations/alerts.md is missing"),
        (
            "An id alone is not trusted:",
            "**An id alone is not trusted**:",
            "English has 1 strong texts, not 0",
        ),
        ("`up` asks", "Read this.\n\n`up` asks", "is missing"),
        (
            "| `otel-obs stack down`",
            "| `otel-obs stack top` | shows |\n| `otel-obs stack down`",
            "is missing",
        ),
        ("## What Grafana shows then", "## What one sees", 'has no <a id="what-one-sees"></a>'),
        ("All of them: [Dashboards](dashboards.md).\n", "", "has 26 blocks, English has 25"),
    ],
)
def test_what_english_changes_and_a_translation_does_not_is_named(before: str, after: str, said: str) -> None:
    english = LOCAL.read_text()
    assert before in english

    found = list(translations.differences(LOCAL, english.replace(before, after), KOREAN))

    assert any(said in line for line in found), found


@pytest.mark.parametrize(
    ("after", "is_noticed"),
    [
        ("`up` asks the service what it lacks and", True),
        ("`up` asks\nthe service what it has and", False),  # the same words, in other lines
    ],
)
def test_other_words_are_noticed(after: str, is_noticed: bool) -> None:
    english = LOCAL.read_text()
    before = "`up` asks the service what it has and"
    assert before in english

    changed = translations.sections(english.replace(before, after))

    assert (changed != translations.sections(english)) is is_noticed


def test_what_is_generated_into_a_page_needs_no_translator() -> None:
    readme = (ROOT / "README.md").read_text()
    begin, end = "<!-- benchmarks -->\n", "<!-- /benchmarks -->"
    head, rest = readme.split(begin)
    other = head + begin + "other figures\n" + end + rest.split(end)[1]

    assert translations.sections(other) == translations.sections(readme)


def test_a_section_that_has_changed_since_it_was_accepted_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    accepted = tmp_path / "translated.json"
    accepted.write_text(
        translations.ACCEPTED.read_text().replace(
            translations.sections(LOCAL.read_text())["Local, without Docker"], "0"
        )
    )
    monkeypatch.setattr(translations, "ACCEPTED", accepted)

    assert list(translations.stale()) == [
        f"docs/{language}/local.md: docs/operations/local.md has other words under 'Local, without Docker' "
        "than when it was translated; translate them, then: python scripts/translations.py --accept"
        for language in LANGUAGES
    ]


def test_no_line_breaks_within_chinese() -> None:
    """A browser shows a space there, and Chinese has none."""
    broken = [
        block.text
        for page in (DOCS / "zh").glob("*.md")
        for block in translations.blocks(page.read_text())
        if block.kind in {"", "-"} and "\n" in block.text
    ]

    assert broken == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_figures_is_in_the_language_of_its_page(language: str) -> None:
    rows = {pages.SETTING_UP, *(row for row, _, _ in pages.ROWS), *pages.SET_UP.values(), "note"}

    assert set(pages.OTHER_LANGUAGES[language]) == rows
