"""Compare the pages in other languages with the English pages that they translate.

Usage: python scripts/translations.py [--accept]
  --accept  note that every translation says what its English page says now

Two things make a translation stale. Its blocks are no longer those of the English page: commands, names in
code, settings, numbers, links and warnings are compared block by block. Or a section of the English page has
other words than when the translation was accepted: `translated.json` beside the tests has a digest of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
ACCEPTED = ROOT / "tests" / "docs" / "translated.json"
LANGUAGES = ("ko", "zh")
ENGLISH = {
    "index.md": ROOT / "README.md",
    "operations.md": DOCS / "operations" / "index.md",
    "local.md": DOCS / "operations" / "local.md",
    "alerts.md": DOCS / "operations" / "alerts.md",
    "dashboards.md": DOCS / "operations" / "dashboards.md",
}
"""What each page of a language's directory translates."""

GENERATED = re.compile(r"^<!-- (\w+) -->\n.*?^<!-- /\1 -->\n", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(
    r"^```.*?^```$"  # a snippet
    r"|^(?:#+|\|) ?[^\n]*"  # a heading, or a row of a table
    r"|^(?:-|\d\.) [^\n]*(?:\n +[^\n]+)*"  # an item of a list
    r"|^[^\n]+(?:\n(?![#|]|- |\d\. |```)[^\n]+)*",  # a paragraph
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(#[^)\s]+)?\)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
WORDS = {
    **{word: (str(n),) for n, word in enumerate(("one", "two", "three", "four", "five", "six"), 1)},
    "a": ("1",),
    "an": ("1",),
    "quarter": ("1", "4"),
    "fifth": ("1", "5"),
}
"""Numbers that English writes as words, and another language may write as digits."""


class Block(NamedTuple):
    """A paragraph, heading, row, item or snippet; `kind` is what it begins with."""

    kind: str
    text: str


class Facts(NamedTuple):
    """What a block says in every language."""

    snippet: str
    codes: frozenset[str]
    links: frozenset[str]
    warnings: int
    numbers: frozenset[str]


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page in order, without what is generated."""
    for found in BLOCK.finditer(GENERATED.sub("", page)):
        first = re.match(r"```\w*|#+|\||-|\d\.|!|<!--|", found[0])
        yield Block(first[0] if first else "", found[0])


def sections(page: str) -> Mapping[str, str]:
    """A digest of each section of an English page, by its heading."""
    texts: dict[str, str] = {}
    title = ""
    for block in blocks(page):
        title = block.text.lstrip("# ") if block.kind.startswith("#") else title
        texts[title] = texts.get(title, "") + " ".join(block.text.split()) + "\n"
    return {title: hashlib.sha256(text.encode()).hexdigest()[:12] for title, text in texts.items()}


def facts(block: Block, page: Path) -> Facts:
    """What a block of *page* says in every language."""
    if block.kind.startswith("```"):
        # Comments behind a command are prose.
        return Facts(
            re.sub(r"(?<=\S)\s+# .*$", "", block.text, flags=re.MULTILINE),
            frozenset(),
            frozenset(),
            0,
            frozenset(),
        )
    codes = {" ".join(code.split()) for code in re.findall(r"`([^`]+)`", block.text)}
    links = {english(page, found) for found in LINK.finditer(block.text)}
    links.update(re.findall(r"https?://[^\s)>`]+", block.text))
    prose = re.sub(r"`[^`]+`|\]\([^)]*\)|<[^>]*>", " ", block.text)
    warnings = prose.count("**") // 2
    return Facts("", frozenset(codes), frozenset(links), warnings, frozenset(NUMBER.findall(prose)))


def english(page: Path, link: re.Match[str]) -> str:
    """Where a link leads, as the English page where it leads to a translation."""
    target = Path(os.path.normpath(page.parent / link[1])) if link[1] else page
    if target.parent.parent == DOCS and target.parent.name in LANGUAGES:
        target = ENGLISH[target.name]
    return f"{target.relative_to(ROOT)}{link[2] or ''}"


def anchor(heading: str) -> str:
    """The anchor of an English heading."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def differences(source: Path, english_text: str, page: Path) -> Iterator[str]:
    """Where a translation says something else than its English page."""
    ours, theirs = list(blocks(english_text)), list(blocks(page.read_text()))
    section = ""
    for at, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        where = f"{page.relative_to(ROOT)}{section}"
        if one.kind != other.kind:
            yield f"{where}: block {at + 1} is {first_line(other)}, where English has {first_line(one)}"
            return
        if one.kind.startswith("##"):
            section = f"#{anchor(one.text)}"
            if f'<a id="{section[1:]}"></a>' not in other.text:
                yield f'{where}: {first_line(other)} has no <a id="{section[1:]}"></a>'
            continue
        yield from (f"{where}: {line}" for line in in_block(one, facts(one, source), facts(other, page)))
    if len(ours) != len(theirs):
        yield f"{page.relative_to(ROOT)} has {len(theirs)} blocks, English has {len(ours)}"


def in_block(block: Block, ours: Facts, theirs: Facts) -> Iterator[str]:
    """What two blocks have not in common."""
    at = first_line(block)
    if ours.snippet != theirs.snippet:
        yield f"the snippet differs from English: {at}"
    written = {number for word in re.findall(r"[a-z]+", block.text.lower()) for number in WORDS.get(word, ())}
    for what, wanted, found, allowed in (
        ("code", ours.codes, theirs.codes, frozenset[str]()),
        ("link", ours.links, theirs.links, ours.links | {str(p.relative_to(ROOT)) for p in ENGLISH.values()}),
        ("number", ours.numbers, theirs.numbers, frozenset(written)),
    ):
        if wanted - found:
            yield f"{what} {', '.join(sorted(wanted - found))} is missing: {at}"
        if found - wanted - allowed:
            yield f"{what} {', '.join(sorted(found - wanted - allowed))} is not in English: {at}"
    if ours.warnings != theirs.warnings:
        yield f"English has {ours.warnings} strong texts, not {theirs.warnings}: {at}"


def first_line(block: Block) -> str:
    """How a message names a block."""
    return repr(block.text.split("\n", 1)[0][:60])


def pages() -> Iterator[tuple[Path, Path]]:
    """Each English page with each of its translations."""
    for language in LANGUAGES:
        for name, source in ENGLISH.items():
            yield source, DOCS / language / name


def stale() -> Iterator[str]:
    """Each place where a translation is not what its English page is."""
    accepted = json.loads(ACCEPTED.read_text())
    for source, page in pages():
        yield from differences(source, source.read_text(), page)
        name, now = str(page.relative_to(DOCS)), sections(source.read_text())
        before = accepted.get(name, {})
        for title in [*now, *(title for title in before if title not in now)]:
            if now.get(title) != before.get(title):
                yield (
                    f"docs/{name}: {source.relative_to(ROOT)} has other words under {title!r} than when it "
                    f"was translated; translate them, then: python scripts/translations.py --accept"
                )


def accept() -> None:
    """Note the digests of the English pages as they stand."""
    digests = {str(page.relative_to(DOCS)): sections(source.read_text()) for source, page in pages()}
    ACCEPTED.write_text(json.dumps(digests, indent=2, ensure_ascii=False) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Compare or accept; the exit code."""
    if "--accept" in arguments:
        accept()
    found = list(stale())
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
