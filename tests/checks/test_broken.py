"""`check` names the fault of every endpoint that is broken on purpose, and nothing else."""

from __future__ import annotations

import pytest

from otel_obs.checks.all_checks import CHECKS, Finding
from otel_obs.checks.evidence import Limits, PageEvidence, Scraped
from otel_obs.checks.examination import check_source, judge
from otel_obs.reading import addresses
from otel_obs.reading.fetch import Fetched, Fetching
from otel_obs.reading.text import read_page
from tests.checks.broken import BROKEN, GOOD, by_format, family, openmetrics_elsewhere
from tests.support.endpoints import Endpoint
from tests.support.ports import free_port

TIGHT = Limits(scrape_s=0.2, page_bytes=10_000, uncompressed_bytes=8_000, series=100, label_values=50)
ROOMY = Limits(scrape_s=60)


def limits_for(name: str) -> Limits:
    """Only the slow endpoint is judged by its time: a machine under load is slow, too."""
    if name == "a slow scrape":
        return TIGHT
    return Limits(60, TIGHT.page_bytes, TIGHT.uncompressed_bytes, TIGHT.series, TIGHT.label_values)


@pytest.mark.parametrize("name", BROKEN)
def test_the_fault_is_named_and_no_other(name: str) -> None:
    broken = BROKEN[name]

    with Endpoint(broken.reply) as endpoint:
        findings = check_source(endpoint.url, Fetching({}), limits_for(name))

    assert {finding.code for finding in findings} == broken.codes, findings


def test_nothing_is_wrong_with_an_endpoint_that_is_right() -> None:
    with Endpoint(by_format(GOOD)) as endpoint:
        assert check_source(endpoint.url, Fetching({}), ROOMY) == []


NUMBERS = {
    "core": range(64),
    "port": range(8000, 8020),
    "code": range(400, 420),
    "handler": ("GET /a", "/b:c"),
}


@pytest.mark.parametrize("label", NUMBERS)
def test_numbers_of_things_are_no_ids(label: str) -> None:
    text = family("jobs", "gauge", *(f'{{{label}="{value}"}} 1' for value in NUMBERS[label]))
    page = Scraped(Fetched("page", 200, {}, text.encode(), len(text), 0.1), read_page(text.encode()))

    assert judge(PageEvidence(page)) == []


def test_formats_agree_where_another_worker_answered_the_first_time() -> None:
    with Endpoint(openmetrics_elsewhere) as endpoint:
        assert check_source(endpoint.url, Fetching({}), ROOMY) == []


def test_an_endpoint_that_is_not_there_is_a_finding() -> None:
    port = free_port()

    findings = check_source(f"http://127.0.0.1:{port}/metrics", Fetching({}))

    assert findings == [
        Finding("OBS001", f"http://127.0.0.1:{port}/metrics", "cannot be reached: Connection refused")
    ]


def evidence(open_at: list[str], is_authorized: bool) -> PageEvidence:
    answer = Fetched("http://a/metrics", 200, {"content-type": "text/plain"}, GOOD.encode(), 1, 0.1)
    return PageEvidence(Scraped(answer, read_page(answer.body)), open_at=open_at, is_authorized=is_authorized)


def test_an_endpoint_that_everybody_can_read_is_found() -> None:
    (finding,) = judge(evidence(["1.1.1.1"], is_authorized=False))

    assert finding == Finding("OBS009", "access", "no credentials are asked for at 1.1.1.1, a public address")
    assert judge(evidence(["1.1.1.1"], is_authorized=True)) == []
    assert judge(evidence([], is_authorized=False)) == []


def test_only_public_addresses_are_open_to_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"1.1.1.1", "10.0.0.1", "fe80::1", "2606:4700::1111"}
    monkeypatch.setattr(addresses, "_resolved", lambda host, port: found)
    monkeypatch.setattr(addresses, "_interfaces", lambda: found)

    assert addresses.public_addresses("http://shop.example/metrics") == ["1.1.1.1", "2606:4700::1111"]
    with Endpoint(by_format(GOOD)) as endpoint:
        assert addresses.public_addresses(endpoint.url) == []
        monkeypatch.setattr(addresses, "WILDCARDS", ("127.0.0.1",))
        assert addresses.public_addresses(endpoint.url) == ["1.1.1.1", "2606:4700::1111"]


def test_every_code_has_an_endpoint_that_is_broken_so() -> None:
    named = set().union(*(broken.codes for broken in BROKEN.values()), {"OBS001", "OBS009"})

    assert named == {check.code for check in CHECKS}


def test_codes_are_in_order_and_there_once() -> None:
    codes = [check.code for check in CHECKS]

    assert codes == sorted(set(codes))
