"""Pages from addresses and files: what cannot be had is one line that names it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from otel_obs.errors import CutOffError, UnreadableError
from otel_obs.reading.fetch import Fetching, address, address_or_file
from tests.support.endpoints import Endpoint, Reply

GOOD = b"# TYPE a counter\na_total 1\n"


@pytest.mark.parametrize(
    "given", ["", "http://", "http://[::1", "ftp://a/", "http://a:99999/", "http://a:b/", "a b"]
)
def test_what_is_no_address_is_named(given: str) -> None:
    with pytest.raises(UnreadableError) as raised:
        address(given)

    assert str(raised.value) == (
        f"{given!r} is not an address; expected one such as http://localhost:8000/metrics"
    )


def test_a_directory_is_neither_a_file_nor_a_host(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="is a directory; give a file, or an address"):
        address_or_file(str(tmp_path))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            Reply(GOOD, headers={"Content-Length": "999"}),
            f"sent {len(GOOD)} of the 999 bytes that it announced",
        ),
        (Reply(gzip.compress(GOOD)[:-9], headers={"Content-Encoding": "gzip"}), "sent gzip that is cut off"),
    ],
)
def test_an_answer_that_ends_too_early_is_said_to(reply: Reply, said: str) -> None:
    with Endpoint(lambda accept, before: reply) as endpoint, pytest.raises(CutOffError) as raised:
        Fetching({}).fetch(endpoint.url)

    assert str(raised.value) == f"{endpoint.url} {said}"


def test_what_is_sent_in_the_place_of_gzip_is_named_once() -> None:
    reply = Reply(GOOD, headers={"Content-Encoding": "gzip"})
    with Endpoint(lambda accept, before: reply) as endpoint, pytest.raises(UnreadableError) as raised:
        Fetching({}).fetch(endpoint.url)

    assert str(raised.value).startswith(f"{endpoint.url} announced gzip, and sent something else: ")
