"""The live page's server answers this machine's own browser, and nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import otel_obs.live
from otel_obs.live.loopback import LiveServer, short_names
from otel_obs.live.served_files import ASSETS
from otel_obs.reading.fetch import Fetching
from tests.support.endpoints import OPENMETRICS, Endpoint, Reply, always
from tests.support.live_server import served
from tests.support.ports import free_port
from tests.support.web import request

DIRECTORY = Path(otel_obs.live.__file__).parent / "assets"
GONE = f"http://127.0.0.1:{free_port()}/metrics"


@pytest.fixture
def address() -> Iterator[str]:
    with Endpoint(always("a 1\n")) as endpoint, Endpoint(lambda *_: Reply(b"no", status=401)) as closed:
        fetching = Fetching({"Authorization": "Bearer secret"})
        with served(LiveServer([endpoint.url, closed.url, GONE], fetching)) as address:
            yield address


def test_every_file_of_the_page_is_served_and_no_other(address: str) -> None:
    names = {str(path.relative_to(DIRECTORY)) for path in DIRECTORY.rglob("*") if path.is_file()}

    assert names == ASSETS | {"uplot/LICENSE"}
    for name in ASSETS:
        answer = request(address + name)
        assert (answer.status, answer.body) == (200, (DIRECTORY / name).read_bytes())
    assert request(address).body == (DIRECTORY / "index.html").read_bytes()
    for name in (
        "nowhere.js",
        "../page.py",
        "uplot/../../page.py",
        "%2e%2e/page.py",
        "scrape/9",
        "scrape/x",
        "scrape/",
    ):
        assert request(address + name).status == 404, name


def test_a_page_is_scraped_with_the_users_credentials(address: str) -> None:
    assert request(address + "scrape/0").text == "a 1\n"
    assert request(address + "scrape/1").text == "answers with status 401"
    refused = request(address + "scrape/2")
    assert (refused.status, refused.text) == (502, "cannot be reached: Connection refused")


def test_the_page_knows_its_targets(address: str) -> None:
    found = request(address + "targets.json").json()

    assert [target["url"] for target in found["targets"]] == ["scrape/0", "scrape/1", "scrape/2"]
    assert found["interval_s"] == 2.0
    assert found["traces"] == ""
    assert short_names(["http://a:1/metrics", "http://b/metrics"]) == ["a:1", "b"]
    assert short_names(["http://a/one", "http://a/two"]) == ["http://a/one", "http://a/two"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_was_made_to_lead_here_gets_nothing(host: str, address: str) -> None:
    for path in ("", "targets.json", "scrape/0", "main.js"):
        assert request(address + path, headers={"Host": host}).status == 421


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_gets_nothing_but_may_link_here(site: str, address: str) -> None:
    assert request(address + "scrape/0", headers={"Sec-Fetch-Site": site}).status == 421
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert request(address, headers=link).status == 200
    assert request(address + "scrape/0", headers=link).status == 421


def test_every_answer_forbids_what_the_page_does_not_need(address: str) -> None:
    for path in ("", "main.js", "scrape/0", "nowhere"):
        headers = request(address + path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
    assert request(address + "scrape/0").headers["Content-Type"].startswith("text/plain")


def test_a_page_in_openmetrics_is_asked_for() -> None:
    with Endpoint(always("# EOF\n", OPENMETRICS)) as endpoint:
        server = LiveServer([endpoint.url], Fetching({}))
        server.reply("/scrape/0")
        server.server_close()

    assert endpoint.asked[0]["Accept"].startswith("application/openmetrics-text")


def test_the_page_needs_nothing_from_elsewhere() -> None:
    for path in DIRECTORY.rglob("*"):
        if path.suffix in (".js", ".css", ".html") and "uplot" not in path.parts:
            assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", path.read_text()
            ), path


def test_the_charts_come_with_their_licence() -> None:
    assert "MIT License" in (DIRECTORY / "uplot" / "LICENSE").read_text()


@pytest.mark.parametrize("index", ["1", "0000001", "0" * 5000 + "1", "-0", "٣", "", "1e0"])
def test_a_target_that_is_none_is_not_found(index: str) -> None:
    server = LiveServer(["http://127.0.0.1:9/metrics"], Fetching({}))
    assert server.reply(f"/scrape/{index}").status == 404
    server.server_close()


@pytest.mark.parametrize(("error", "is_said"), [(ConnectionResetError(), False), (ValueError("x"), True)])
def test_a_browser_that_goes_away_is_no_traceback(
    error: Exception, is_said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    server = LiveServer([GONE], Fetching({}))
    try:
        raise error
    except (ConnectionError, ValueError):
        server.handle_error(None, ("127.0.0.1", 1))
    server.server_close()

    assert ("Traceback" in capsys.readouterr().err) is is_said


def test_a_target_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret 1\n")
    with Endpoint(always("secret 1\n")) as other:
        for place in (secret.as_uri(), other.url, "ftp://127.0.0.1/", "//127.0.0.1:1/", "http://[::1"):
            leading = partial(Reply, b"", status=302, headers={"Location": place})
            with (
                Endpoint(lambda *_: leading()) as endpoint,  # noqa: B023
                served(LiveServer([endpoint.url], Fetching({}, 5.0))) as address,
            ):
                found = request(address + "scrape/0")
            assert found.status == 502, place
            assert "secret" not in found.text
        assert other.asked == []
