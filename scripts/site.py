"""Build the documentation's site and check every link in it.

Usage: python scripts/site.py

Pages come from docs/. The changelog and the like are pages of the site too; what else they link to in the
repository (an example, a configuration) becomes a link to it. A page that no menu names is an error; a
folder in the menu of zensical.toml stands for all of its pages. Pages in another language are built with the
theme in that language, and say which it is: screen readers, fonts and translators go by it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
DOCS, PAGES, SITE = ROOT / "docs", ROOT / "build" / "pages", ROOT / "build" / "site"
CONFIG, TRANSLATED = ROOT / "build" / "zensical.toml", ROOT / "build" / "translated"
ADDED = {
    ROOT / "SECURITY.md": "about/security.md",
    ROOT / "CHANGELOG.md": "about/changelog.md",
    ROOT / "CONTRIBUTING.md": "about/contributing.md",
    ROOT / "README.md": "index.md",
}
LANGUAGES = {"ko": "ko", "zh": "zh-Hans"}
"""How HTML names the language of each directory; the theme has it by the name of the directory."""
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]*)(#[^)\s]*)?(\))")

CELL = re.compile(r"<td[ >].*?</td>", re.DOTALL)
CODE = re.compile(r"(?<=<code>)[^<]{12,}(?=</code>)")


class SiteError(Exception):
    """The site is not whole; the message says which page, and why."""


def main() -> int:
    """Build and check; the exit code."""
    config = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    try:
        write_pages(config["repo_url"])
        check_menu(config["nav"])
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    programs = Path(sys.executable).parent
    try:
        build(programs, expanded((ROOT / "zensical.toml").read_text()))
        check_languages(SITE)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    checked = subprocess.run(
        [
            *(
                programs / "lychee",
                "--offline",
                "--no-progress",
                "--include-fragments",
                "--index-files",
                "index.html",
                "--root-dir",
                SITE,
            ),
            *("--exclude-path", "404.html", SITE),
        ]
    )
    return checked.returncode


def build(programs: Path, config: str) -> None:
    """Build the site, with each language's pages out of a build in that language.

    Raises:
        SiteError: The builder failed, or wrote nothing.
    """
    for language in (*LANGUAGES, "en"):
        shutil.rmtree(SITE, ignore_errors=True)
        CONFIG.write_text(config.replace('\nlanguage = "en"\n', f'\nlanguage = "{language}"\n'))
        built = subprocess.run(
            [programs / "zensical", "build", "--clean", "--strict", "--config-file", CONFIG]
        )
        if built.returncode != 0 or not (SITE / "index.html").exists():
            raise SiteError(f"zensical did not build the site in {language!r}")
        if language != "en":
            shutil.rmtree(TRANSLATED / language, ignore_errors=True)
            shutil.copytree(SITE / language, TRANSLATED / language)
    for language, name in LANGUAGES.items():
        shutil.copytree(TRANSLATED / language, SITE / language, dirs_exist_ok=True)
        for page in (SITE / language).rglob("*.html"):
            page.write_text(page.read_text().replace(f'<html lang="{language}"', f'<html lang="{name}"', 1))
    for page in SITE.rglob("*.html"):
        page.write_text(CELL.sub(breakable, page.read_text()))


def breakable(cell: re.Match[str]) -> str:
    """A cell of a table whose long names may end a line between their words, and nowhere else."""
    return CODE.sub(lambda code: re.sub(r"(?<=[^\W_][_./,=])(?=[^\W_])", "<wbr>", code[0]), cell[0])


def check_languages(site: Path) -> None:
    """Have every page say the language that it is in.

    Raises:
        SiteError: One says another, or none.
    """
    for page in site.rglob("*.html"):
        place = page.relative_to(site)
        wanted = LANGUAGES.get(place.parts[0], "en")
        if f'<html lang="{wanted}"' not in page.read_text():
            raise SiteError(f'{place} is no page with <html lang="{wanted}">')


def write_pages(repository: str) -> None:
    """Copy the pages to where the site is built from.

    Raises:
        SiteError: A page links to what is not there.
    """
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(DOCS, PAGES)
    for page in DOCS.rglob("*.md"):
        place = page.relative_to(DOCS)
        (PAGES / place).write_text(linked(page, place, repository))
    for page, to in ADDED.items():
        if to != "index.md":
            (PAGES / to).write_text(linked(page, Path(to), repository))


def linked(page: Path, place: Path, repository: str) -> str:
    """The text of a page with links that lead somewhere from its place in the site.

    Raises:
        SiteError: It links to what is not there.
    """

    def replace(found: re.Match[str]) -> str:
        target = (page.parent / found[2]).resolve()
        if not target.exists():
            raise SiteError(f"{page.relative_to(ROOT)} links to {found[2]}, which is not there")
        if target in ADDED:
            to = ADDED[target]
        elif target.is_relative_to(DOCS):
            to = str(target.relative_to(DOCS))
        else:
            kind = "tree" if target.is_dir() else "blob"
            return f"{found[1]}{repository}/{kind}/main/{target.relative_to(ROOT)}{found[3] or ''}{found[4]}"
        up = "../" * len(place.parent.parts)
        return f"{found[1]}{up}{to}{found[3] or ''}{found[4]}"

    return LINK.sub(replace, page.read_text())


def check_menu(nav: list[Any]) -> None:
    """Have every page in the menu.

    Raises:
        SiteError: A page is not there, or stands there twice, or what stands there is no page.
    """
    named = list(entries(nav))
    folders = tuple(name for name in named if name.endswith("/"))
    pages = {str(page.relative_to(PAGES)) for page in PAGES.rglob("*.md")}
    missing = {page for page in pages - set(named) if not page.startswith(folders)}
    twice = {name for name in named if named.count(name) > 1}
    unknown = {name for name in named if name not in pages and not (PAGES / name).is_dir()}
    for what, names in (("is in no menu", missing), ("is in the menu twice", twice), ("is no page", unknown)):
        if names:
            raise SiteError(f"zensical.toml: {', '.join(sorted(names))} {what}")


def expanded(config: str) -> str:
    """The configuration with the pages of each folder in the place of the folder."""

    def pages_of(found: re.Match[str]) -> str:
        folder = PAGES / found[1]
        pages = sorted(folder.glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
        return "[" + ", ".join(f'"{page.relative_to(PAGES)}"' for page in pages) + "]"

    return re.sub(r'"([\w-]+/)"', pages_of, config)


def entries(nav: list[Any]) -> Iterator[str]:
    """The pages and folders of a menu, in order."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, Mapping):
            for value in entry.values():
                yield from entries(value if isinstance(value, list) else [value])


if __name__ == "__main__":
    sys.exit(main())
