"""A service that serves its own live page: every file of it, behind the token, uncounted."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from otel_obs.live.served_files import ASSETS
from tests.support.processes import Service, tool
from tests.support.web import Response, request

ROOT = Path(__file__).parents[2]
TOKEN = "s3cret"
CHROMIUM = shutil.which("chromium")


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def service(framework: str, log_file: Path, **env: str) -> Service:
    """Two workers of a plain application that is instrumented in code."""
    app = f"tests.apps.instrumented_{framework}:app"
    if framework == "flask":
        command = [tool("gunicorn"), "-w", "2", "-b", "127.0.0.1:{port}", app]
    else:
        command = [tool("uvicorn"), "--workers", "2", "--port", "{port}", app]
    return Service(*command, cwd=ROOT, env=env, log_file=log_file)


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_the_page_is_served_behind_the_token_and_is_not_counted(framework: str, tmp_path: Path) -> None:
    traces = "https://traces.example/{trace_id}"
    env = {
        "OTEL_OBS_LIVE": "/metrics/live",
        "OTEL_OBS_LIVE_TRACES": traces,
        "OTEL_OBS_METRICS_TOKEN": TOKEN,
    }
    with service(framework, tmp_path / "log", **env) as running:

        def get(path: str, headers: dict[str, str]) -> Response:
            return request(running.url + path, headers=headers)

        for path in ("/metrics/live", "/metrics/live/", "/metrics/live/main.js", "/metrics/live/scrape/0"):
            refused = get(path, {})
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="metrics"')
            assert get(path, basic("wrong")).status == 401
            assert get(path, {"Authorization": "Basic !"}).status == 401
        for headers in (basic(TOKEN), {"Authorization": f"Bearer {TOKEN}"}):
            assert "<title>otel-obs" in get("/metrics/live", headers).text  # the redirect is followed
            targets = get("/metrics/live/targets.json", headers).json()
            assert targets["targets"] == [{"name": "this service", "url": "scrape/0"}]
            assert targets["traces"] == traces
            scraped = get("/metrics/live/scrape/0", headers)
            assert "http_requests_total" in scraped.text
            assert "default-src 'none'" in scraped.headers["Content-Security-Policy"]
            for name in ASSETS:
                answer = get(f"/metrics/live/{name}", headers)
                assert (answer.status, "default-src 'none'" in answer.headers["Content-Security-Policy"]) == (
                    200,
                    True,
                )
        assert get("/metrics", basic(TOKEN)).status == 401
        page = get("/metrics", {"Authorization": f"Bearer {TOKEN}"}).text

    assert "live" not in "".join(line for line in page.splitlines() if line.startswith("http_requests_total"))


def test_there_is_no_page_unless_it_is_asked_for(tmp_path: Path) -> None:
    with service("flask", tmp_path / "log") as running:
        assert running.get("/metrics").status == 200
        assert running.get("/metrics/live").status == 404


def test_a_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    """As with any setting that is wrong, a service under the wrapper starts uninstrumented."""
    command = [
        tool("opentelemetry-instrument"),
        tool("gunicorn"),
        "-b",
        "127.0.0.1:{port}",
        "tests.apps.plain_flask:app",
    ]
    env = {"OTEL_OBS_LIVE": "/metrics"}
    with Service(*command, cwd=ROOT, env=env, log_file=tmp_path / "log") as running:
        assert running.get("/metrics").status == 404
        assert "OTEL_OBS_LIVE='/metrics' is taken; expected a path such as /metrics/live" in running.log


@pytest.mark.timeout(400)
@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
def test_a_browser_shows_the_service_after_it_has_asked_for_the_password(tmp_path: Path) -> None:
    env = {"OTEL_OBS_LIVE": "/metrics/live", "OTEL_OBS_METRICS_TOKEN": TOKEN}
    with service("fastapi", tmp_path / "log", **env) as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(http_credentials={"username": "me", "password": TOKEN}).new_page()
        page.goto(running.url + "/metrics/live")
        running.get("/items/1")
        page.click("button[data-tab='endpoints']", timeout=60_000)
        expect(page.locator("main tbody")).to_contain_text("/items/{number}", timeout=60_000)
        browser.close()
