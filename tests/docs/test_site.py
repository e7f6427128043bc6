"""What the build of the documentation's site refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.site import CELL, SiteError, breakable, check_languages


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for place, language in (
        ("index.html", "en"),
        ("ko/index.html", "ko"),
        ("zh/alerts/index.html", "zh-Hans"),
    ):
        page = tmp_path / place
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(f'<!doctype html>\n<html lang="{language}" class="no-js">\n')
    return tmp_path


def test_pages_that_say_their_language_are_right(site: Path) -> None:
    check_languages(site)


@pytest.mark.parametrize(
    ("place", "said", "wanted"),
    [
        ("ko/index.html", "en", "ko"),
        ("zh/alerts/index.html", "zh", "zh-Hans"),
        ("index.html", "ko", "en"),
    ],
)
def test_a_page_that_says_another_language_than_its_own_is_named(
    site: Path, place: str, said: str, wanted: str
) -> None:
    (site / place).write_text(f'<html lang="{said}">')

    with pytest.raises(SiteError) as raised:
        check_languages(site)

    assert str(raised.value) == f'{place} is no page with <html lang="{wanted}">'


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        (
            "<td><code>OTEL_METRIC_EXPORT_INTERVAL</code></td>",
            "<td><code>OTEL_<wbr>METRIC_<wbr>EXPORT_<wbr>INTERVAL</code></td>",
        ),
        (
            '<td style="x"><code>/etc/shop/shop.yaml</code></td>',
            '<td style="x"><code>/etc/<wbr>shop/<wbr>shop.<wbr>yaml</code></td>',
        ),
        ("<td><code>__unmatched__</code></td>", "<td><code>__unmatched__</code></td>"),
        ("<td><code>a_b</code> and c_d_e_f_g_h_i_j</td>", "<td><code>a_b</code> and c_d_e_f_g_h_i_j</td>"),
        (
            "<p><code>OTEL_METRIC_EXPORT_INTERVAL</code></p>",
            "<p><code>OTEL_METRIC_EXPORT_INTERVAL</code></p>",
        ),
    ],
)
def test_long_names_in_tables_end_lines_between_their_words(html: str, shown: str) -> None:
    assert CELL.sub(breakable, html) == shown
