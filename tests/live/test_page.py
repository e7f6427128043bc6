"""The live page in a real browser: it shows what was scraped, to everybody, and runs nothing foreign."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from otel_obs.live.loopback import LiveServer
from otel_obs.reading.fetch import Fetching
from otel_obs.reading.text import read_page
from tests.support.endpoints import OPENMETRICS, Endpoint, Reply, always
from tests.support.live_server import served
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WAIT_MS = 30_000
NONE = "\u2013"
"""What stands where there is no value."""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def live(*targets: str, interval_s: float = 0.3, traces: str = "") -> Iterator[str]:
    """The server of the page, as `otel-obs view` runs it."""
    server = LiveServer(targets, Fetching({}, 5.0), interval_s=interval_s, traces=traces)
    with served(server) as address:
        yield address


@contextmanager
def opened(browser: Browser, address: str, **context: Any) -> Iterator[Page]:
    """The page in a fresh browser profile; an error in its console fails the test."""
    profile = browser.new_context(**context)
    profile.set_default_timeout(WAIT_MS)
    page = profile.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: errors.append(f"dialog {dialog.message}"))
    page.goto(address)
    yield page
    profile.close()
    assert [error for error in errors if "502" not in error] == []


def tab(page: Page, name: str) -> None:
    page.click(f"button[data-tab='{name}']")


def cells(page: Page) -> dict[str, list[str]]:
    """The rows of the first table, by their first cell."""
    rows = page.locator("main table").first.locator("tbody tr").all()
    texts = [row.locator("th, td").all_inner_texts() for row in rows]
    return {row[0].strip(): [text.strip() for text in row[1:]] for row in texts}


def http_page(count: int, failed: int = 0) -> str:
    """A page of a service with two endpoints, after *count* requests to one of them."""
    return (
        "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n"
        f'http_requests_total{{method="GET",endpoint="/a",status_code="200"}} {count}\n'
        f'http_requests_total{{method="GET",endpoint="/b",status_code="500"}} {failed}\n'
        "# HELP http_request_duration_seconds Time.\n# TYPE http_request_duration_seconds histogram\n"
        f'http_request_duration_seconds_bucket{{method="GET",endpoint="/a",le="0.1"}} {count}\n'
        f'http_request_duration_seconds_bucket{{method="GET",endpoint="/a",le="1"}} {count}\n'
        f'http_request_duration_seconds_bucket{{method="GET",endpoint="/a",le="+Inf"}} {count}\n'
        f'http_request_duration_seconds_sum{{method="GET",endpoint="/a"}} {count * 0.05}\n'
        f'http_request_duration_seconds_count{{method="GET",endpoint="/a"}} {count}\n'
        "# HELP jobs Jobs.\n# TYPE jobs gauge\njobs 0.1\n"
    )


def growing(accept: str, before: int) -> Reply:
    return Reply(http_page(10 * before, before).encode())


def test_values_are_those_that_were_scraped(browser: Browser) -> None:
    values = {
        "a": "0.1",
        "b": "1e+300",
        "c": "-5",
        "d": "12345678.9",
        "e": "NaN",
        "f": "+Inf",
        "g": "0.30000000000000004",
    }
    text = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in values.items())

    with Endpoint(always(text)) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        tab(page, "metrics")
        expect(page.locator("main tbody tr")).to_have_count(len(values))
        shown = {name: row[-1] for name, row in cells(page).items()}

    scraped = {key[0]: value for key, value in read_page(text.encode()).values().items()}
    assert shown.keys() == scraped.keys()
    assert {name: str(float(value)) for name, value in shown.items()} == {
        n: str(v) for n, v in scraped.items()
    }


@pytest.mark.parametrize("form", ["text", "openmetrics"])
def test_the_page_reads_what_python_reads(form: str, browser: Browser) -> None:
    text = http_page(7) + 'odd{a="\\"}{,=\\n\\\\",b=""} 1 1700000000000\n{"with.dots",c="d"} 2\nloose{} 3\n'
    if form == "openmetrics":
        text = text.replace("_total counter", " counter").replace(
            "HELP http_requests_total", "HELP http_requests"
        )
        text = text.replace(" 1700000000000", "") + "# EOF\n"
    expected = {(s.name, s.series.pairs): s.value for s in read_page(text.encode()).samples()}

    with (
        Endpoint(always("a 1\n")) as endpoint,
        live(endpoint.url) as address,
        opened(browser, address) as page,
    ):
        found = page.evaluate(
            """async (text) => {
                const { parse } = await import("./parse.js");
                const { samples } = parse(text, new Map());
                return samples.map(({ series, value }) => [series.name, [...series.labels].sort(), value]);
            }""",
            text,
        )

    assert {(name, tuple(map(tuple, labels))): value for name, labels, value in found} == expected


def test_requests_are_shown_by_endpoint_and_over_time(browser: Browser) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        expect(page.locator(".tile dd").first).not_to_have_text(re.compile("^[\u20130]$"))
        tab(page, "endpoints")
        expect(page.locator("main tbody tr")).to_have_count(2)
        until(lambda: cells(page)["/a"][1] == "0%" and cells(page)["/b"][1] == "100%", "shares of errors", 90)
        assert float(cells(page)["/a"][0]) > 5 * float(cells(page)["/b"][0]) > 0
        page.check("input[aria-label='Compare: /a']")
        expect(page.locator("main figure canvas").first).to_be_visible()
        page.click("button:text-is('/a')")
        expect(page.locator(".chips")).to_contain_text("Only /a")


def test_a_counter_that_begins_anew_is_never_a_negative_rate(browser: Browser) -> None:
    def reply(accept: str, before: int) -> Reply:
        return Reply(http_page(1000 + 5 * before if before < 6 else 5 * (before - 5)).encode())

    with Endpoint(reply) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        until(lambda: len(endpoint.asked) > 12, "scrapes", 150)
        page.click("figure button:has-text('Show as a table')")
        shown = page.locator(".values td").all_inner_texts()

    rates = [float(text) for text in shown if text not in (NONE, "")]
    assert len(rates) > 5
    assert min(rates) >= 0
    assert max(rates) < 200


def test_a_target_that_goes_away_and_returns_is_seen(browser: Browser) -> None:
    is_there = [True]

    def reply(accept: str, before: int) -> Reply:
        return Reply(b"a 1\n") if is_there[0] else Reply(b"", status=503)

    with (
        Endpoint(reply) as first,
        Endpoint(growing) as second,
        live(first.url, second.url) as address,
        opened(browser, address) as page,
    ):
        expect(page.locator("#state-text")).to_contain_text("Live")
        is_there[0] = False
        expect(page.get_by_role("alert")).to_contain_text(
            f"127.0.0.1:{first.port} is down: answers with status 503"
        )
        is_there[0] = True
        expect(page.get_by_role("alert")).to_be_hidden()
        expect(page.locator(".events")).to_contain_text("does not answer")
        expect(page.locator(".events")).to_contain_text("answers again")


HOSTILE = '<img src=x onerror=alert(1)>"><script>alert(2)</script>{{7*7}}\\u003c'


def test_hostile_labels_are_shown_as_text(browser: Browser) -> None:
    value = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    text = (
        http_page(5).replace("/a", value)
        + f'# HELP evil {HOSTILE}\n# TYPE evil gauge\nevil{{x="{value}"}} 1\n'
    )

    with Endpoint(always(text)) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        tab(page, "endpoints")
        expect(page.locator("main tbody")).to_contain_text(HOSTILE)
        tab(page, "metrics")
        page.click("button:text-is('evil')")
        expect(page.locator("main .labels")).to_contain_text(f"x={HOSTILE}")
        page.click("main .labels .chip")
        expect(page.locator("main .chips").last).to_contain_text(HOSTILE)
        assert page.locator("img, main script").count() == 0


def test_a_metric_is_found_filtered_and_pinned(browser: Browser) -> None:
    text = http_page(5) + '# TYPE cpu gauge\ncpu{core="0"} 1\ncpu{core="1"} 2\n'
    with Endpoint(always(text)) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        tab(page, "metrics")
        page.fill("input[type=search]", "cpu gauge")
        expect(page.locator("main tbody tr")).to_have_count(1)
        page.click("button:text-is('cpu')")
        expect(page.locator("main .labels")).to_have_count(2)
        page.click("button:text-is('core=1')")
        expect(page.locator("main .labels")).to_have_count(1)
        page.click("button:text-is('Pin')")
        tab(page, "pinned")
        expect(page.locator("main figure")).to_have_count(1)
        page.reload()
        tab(page, "pinned")
        expect(page.locator("main figcaption")).to_contain_text("cpu")


def test_the_keyboard_alone_reads_a_chart(browser: Browser) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        until(lambda: len(endpoint.asked) > 8, "scrapes", 150)
        figure = page.locator("main figure").first
        figure.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        expect(page.locator("#said")).to_have_text(re.compile(r"\d\d:\d\d:\d\d: 2xx [\d.]+, 5xx [\d.]+"))
        page.keyboard.press("m")
        page.keyboard.press("Home")
        page.keyboard.press("m")
        expect(page.locator("#said")).to_have_text(re.compile(r"Marked .* total \d+"))
        page.keyboard.press("Enter")
        expect(page.locator("#state-text")).to_contain_text("Paused")
        page.keyboard.press("Escape")
        expect(page.locator("#state-text")).to_contain_text("Live")


def test_the_keyboard_alone_reads_a_heatmap(browser: Browser) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        until(lambda: len(endpoint.asked) > 8, "scrapes", 150)
        page.click("#pause")
        page.locator("main figure", has_text="by bucket").focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        said = page.locator("#said")
        expect(said).to_have_text(re.compile(r"^\d\d:\d\d:\d\d: ≤ 100 ms: [\d.]+$"))
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        expect(said).to_have_text(re.compile(r"^\d\d:\d\d:\d\d: ≤ 1 s: 0$"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("m")
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        page.keyboard.press("m")
        # Ten requests lie between two scrapes, all of them within the first bound.
        expect(said).to_have_text(re.compile(r"^Marked .* · total (40|50) · ≤ 100 ms: total (40|50)$"))
        page.keyboard.press("Enter")
        expect(page.locator("#state-text")).to_contain_text("Paused")
        expect(page.locator("#back")).to_be_visible()


def test_the_mouse_reads_a_cell_of_the_heatmap_and_marks_an_interval(browser: Browser) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        until(lambda: len(endpoint.asked) > 12, "scrapes", 150)
        page.click("#pause")
        figure = page.locator("main figure", has_text="by bucket")
        canvas = figure.locator("canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        right, low = box["x"] + box["width"] - 20, box["y"] + box["height"] - 44
        page.mouse.move(right, low)
        expect(figure.locator(".readout").first).to_have_text(re.compile(r"≤ 100 ms: [1-9][\d.]*$"))
        page.mouse.down()
        page.mouse.move(right - box["width"] / 2, low, steps=4)
        page.mouse.up()
        expect(figure.locator(".readout").last).to_contain_text(re.compile(r"Marked .* total [1-9]\d*0 · "))
        figure.get_by_role("button", name="Clear").click()
        expect(figure.locator(".readout").last).to_be_hidden()


@pytest.mark.parametrize("name", ["Requests a second", "by bucket"])
def test_the_table_behind_a_chart_has_its_cursor_and_its_interval(name: str, browser: Browser) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        until(lambda: len(endpoint.asked) > 8, "scrapes", 150)
        page.click("#pause")
        chart = page.locator("main .chart", has=page.locator("figcaption", has_text=name)).first
        chart.get_by_role("button", name="Show as a table").click()
        table = chart.locator(".values")
        table.focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowDown")
        current = table.locator("tr[aria-current=true]")
        expect(current).to_have_count(1)
        expect(page.locator("#said")).to_contain_text(current.locator("th").inner_text() + ": ")
        page.keyboard.press("m")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("m")
        expect(table.locator("tr.marked")).to_have_count(2)
        # The counter grows by eleven between two scrapes, the histogram by ten.
        total = re.compile(r"^Marked .* total (2\d|3\d)$")
        expect(table.locator("tr.total th")).to_have_text(total)
        page.keyboard.press("Escape")
        expect(table.locator("tr.total")).to_have_count(0)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def traced(*traces: str) -> bytes:
    lines = "".join(
        f'jobs_total{{k="{at}"}} 1 # {{trace_id="{trace}"}} 1 {1700000000 + at}\n'
        for at, trace in enumerate(traces)
    )
    return f"# TYPE jobs counter\n{lines}# EOF\n".encode()


@pytest.mark.parametrize("template", ["", "http://t.example/trace/{trace_id}?a=b"])
def test_an_exemplar_leads_to_its_trace(template: str, browser: Browser) -> None:
    hostile = ["../../admin", 'x" onclick=alert(1)', "<b>x</b>", "$&"]
    page_bytes = traced(TRACE, *(each.replace('"', '\\"') for each in hostile))
    with (
        Endpoint(lambda accept, before: Reply(page_bytes, content_type=OPENMETRICS)) as endpoint,
        live(endpoint.url, traces=template) as address,
        opened(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page,
    ):
        tab(page, "exemplars")
        expect(page.locator("main tbody tr")).to_have_count(5)
        expect(page.locator("td.trace")).to_have_text([*reversed(hostile), TRACE])
        links = page.locator("main tbody a")
        expect(links).to_have_count(1 if template else 0)
        if template:
            assert links.get_attribute("href") == f"http://t.example/trace/{TRACE}?a=b"
            assert links.get_attribute("rel") == "noopener noreferrer"
            expect(links).to_have_accessible_name(f"Open trace {TRACE}")
        page.get_by_role("button", name=f"Copy: {TRACE}").press("Enter")
        expect(page.locator("#said")).to_have_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()") == TRACE
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
        page.get_by_role("button", name=f"Copy: {TRACE}").press("Enter")
        expect(page.locator("#said")).to_contain_text("Selected")
        assert page.evaluate("String(getSelection())") == TRACE


def test_what_was_seen_is_saved_and_loaded_again(browser: Browser, tmp_path: Path) -> None:
    with Endpoint(growing) as endpoint, live(endpoint.url) as address:
        with opened(browser, address) as page:
            until(lambda: len(endpoint.asked) > 8, "scrapes", 150)
            with page.expect_download() as download:
                page.click("#save")
            download.value.save_as(tmp_path / "saved.json")
        saved = json.loads((tmp_path / "saved.json").read_text())
        assert saved["format"] == "otel-obs view 1"
        assert len(saved["times"]) >= 5
        with opened(browser, address) as page:
            page.set_input_files("#file", tmp_path / "saved.json")
            expect(page.locator("#state-text")).to_contain_text("From a file")
            tab(page, "metrics")
            expect(page.locator("main tbody")).to_contain_text("http_requests_total")
            (tmp_path / "other.json").write_text("{}")
            page.set_input_files("#file", tmp_path / "other.json")
            expect(page.get_by_role("alert")).to_contain_text("no file that was saved here")


def test_exemplars_are_saved_and_lead_to_their_traces_again(browser: Browser, tmp_path: Path) -> None:
    page_bytes = traced(TRACE, HOSTILE.replace("\\", "\\\\").replace('"', '\\"'))
    with (
        Endpoint(lambda accept, before: Reply(page_bytes, content_type=OPENMETRICS)) as endpoint,
        live(endpoint.url, traces="http://t.example/{trace_id}") as address,
    ):
        with opened(browser, address) as page:
            tab(page, "exemplars")
            expect(page.locator("main tbody tr")).to_have_count(2)
            shown = page.locator("main tbody tr").all_inner_texts()
            with page.expect_download() as download:
                page.click("#save")
            download.value.save_as(tmp_path / "saved.json")
        assert "jobs_total k=1" in shown[0]
        with opened(browser, address) as page:
            page.set_input_files("#file", tmp_path / "saved.json")
            expect(page.locator("#state-text")).to_contain_text("From a file")
            tab(page, "exemplars")
            expect(page.locator("main tbody tr")).to_have_count(2)
            assert page.locator("main tbody tr").all_inner_texts() == shown
            expect(page.locator("main tbody a")).to_have_attribute("href", f"http://t.example/{TRACE}")
            assert page.locator("img, main script").count() == 0
            before = json.loads((tmp_path / "saved.json").read_text())
            del before["exemplars"]  # as files have none that were saved earlier
            (tmp_path / "before.json").write_text(json.dumps(before))
            page.set_input_files("#file", tmp_path / "before.json")
            expect(page.locator("main tbody tr")).to_have_count(0)


def test_more_series_than_there_is_room_for_are_counted_and_left_out(browser: Browser) -> None:
    text = "".join(f'a{{b="{n}"}} 1\n' for n in range(50_250))
    with Endpoint(always(text)) as endpoint, live(endpoint.url) as address, opened(browser, address) as page:
        said = "50,000 series in 1 families · 250 more are not shown: there is room for so many"
        expect(page.locator("#summary")).to_have_text(said, timeout=120_000)


def test_the_page_speaks_korean(browser: Browser) -> None:
    with (
        Endpoint(growing) as endpoint,
        live(endpoint.url) as address,
        opened(browser, address, locale="ko-KR") as page,
    ):
        expect(page.locator("#tabs")).to_contain_text("엔드포인트")
        assert page.locator("html").get_attribute("lang") == "ko"
        page.select_option("#language", "en")
        expect(page.locator("#tabs")).to_contain_text("Endpoints")


def test_both_languages_have_every_word() -> None:
    text = (ROOT / "otel_obs/live/assets/i18n.js").read_text()
    english, korean = (set(re.findall(r"(\w+): \"", part)) for part in text.split("  ko: {"))

    assert english == korean


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing(theme: str, width: int, browser: Browser) -> None:
    found = subprocess.run([ROOT / "scripts/axe-core", "--find"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip("axe-core is not there; get it with: scripts/axe-core")
    worker = "# TYPE otel_obs_worker_memory_bytes gauge\n" + 'otel_obs_worker_memory_bytes{worker="7"} 1e7\n'
    exemplar = f'# {{trace_id="{TRACE}"}} 1 1700000000'
    text = http_page(5) + worker + f"# TYPE llm_calls_total counter\nllm_calls_total 4 {exemplar}\n"

    with (
        Endpoint(always(text)) as endpoint,
        live(endpoint.url, traces="http://t.example/{trace_id}") as address,
        opened(browser, address, viewport={"width": width, "height": 800}, bypass_csp=True) as page,
    ):
        page.select_option("#theme", theme)
        page.add_script_tag(path=found.stdout.strip())
        for name in ("overview", "endpoints", "workers", "group:llm", "metrics", "exemplars"):
            tab(page, name)
            expect(page.locator(f"button[data-tab='{name}']")).to_have_attribute("aria-current", "page")
            if name == "overview":
                show_tables_and_marks(page, lambda: len(endpoint.asked))
            if name == "exemplars":
                expect(page.locator("td.trace a")).to_be_visible()
            if name == "metrics":
                page.click("button:text-is('http_requests_total')")
                expect(page.locator("main .labels")).to_have_count(2)
            result = page.evaluate("axe.run()")
            problems = [(v["id"], v["nodes"][0]["html"]) for v in result["violations"]]
            assert problems == [], name


def show_tables_and_marks(page: Page, asked: Callable[[], int]) -> None:
    until(lambda: asked() > 5, "scrapes", 150)
    figures = page.locator("main figure:has(canvas)").all()
    for figure in figures:
        figure.get_by_role("button", name="Show as a table").click()
    page.mouse.move(0, 0)
    for figure in figures:
        figure.focus()
        for key in ("m", "ArrowLeft", "ArrowLeft", "m"):
            page.keyboard.press(key)
    expect(page.locator("main tr.total")).to_have_count(4)
    expect(page.locator("main tr[aria-current]")).to_have_count(4)


MOST_FRAME_MS = 100


def test_ten_thousand_series_and_two_hundred_endpoints_drop_no_frame(browser: Browser) -> None:
    """No task of the thread that draws takes more processor time than a frame of 100 ms has."""
    with (
        Endpoint(lambda accept, before: Reply(large_page(before).encode())) as endpoint,
        live(endpoint.url, interval_s=1.0) as address,
        opened(browser, address) as page,
    ):
        expect(page.locator("#summary")).to_contain_text(re.compile(r"1\d,\d{3} series"))
        for name, rows in (("overview", 0), ("endpoints", 200), ("metrics", 2)):
            tab(page, name)
            if rows:
                expect(page.locator("main tbody tr")).to_have_count(rows)
            before = len(endpoint.asked)
            browser.start_tracing(page=page, categories=["toplevel", "__metadata"])
            until(lambda: len(endpoint.asked) > before + 4, "five scrapes", 120)  # noqa: B023
            tasks_ms = drawing_tasks_ms(json.loads(browser.stop_tracing()))
            assert len(tasks_ms) > 10
            assert max(tasks_ms) < MOST_FRAME_MS, name


def drawing_tasks_ms(trace: dict[str, Any]) -> list[float]:
    """The processor time of each task of the pages' main threads."""
    events = trace["traceEvents"]
    names = [event for event in events if event["name"] == "thread_name"]
    mains = {(e["pid"], e["tid"]) for e in names if e["args"]["name"] == "CrRendererMain"}
    return [e["tdur"] / 1000 for e in events if "tdur" in e and (e["pid"], e["tid"]) in mains]


def large_page(before: int) -> str:
    """200 endpoints with four statuses and a histogram of 40 bounds: 10,000 series and more."""
    lines = ["# TYPE http_requests_total counter"]
    count = before * 3 + 100
    for n in range(200):
        labels = f'method="GET",endpoint="/api/v1/things/{n}"'
        lines += [
            f'http_requests_total{{{labels},status_code="{s}"}} {count + n}' for s in (200, 201, 404, 500)
        ]
    lines.append("# TYPE http_request_duration_seconds histogram")
    bounds = [*(f"{0.005 * (b + 1):g}" for b in range(45)), "+Inf"]
    for n in range(200):
        labels = f'method="GET",endpoint="/api/v1/things/{n}"'
        name = "http_request_duration_seconds"
        lines += [f'{name}_bucket{{{labels},le="{le}"}} {count * (b + 1)}' for b, le in enumerate(bounds)]
    return "\n".join([*lines, ""])
