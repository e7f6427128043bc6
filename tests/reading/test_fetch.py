"""Pages from addresses and files: what cannot be had is one line that names it."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from otel_obs.errors import CutOffError, UnreadableError
from otel_obs.reading.fetch import Fetching, address, address_or_file
from tests.support.endpoints import Endpoint, Reply
from tests.support.processes import clean_env, tool

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


def test_the_pipe_that_a_shell_makes_of_a_command_is_a_file(tmp_path: Path) -> None:
    command = f"{tool('otel-obs')} diff <(echo 'a 1') <(echo 'b 1')"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=clean_env())

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "- a\n+ b\n2 changes, 0 rules and panels break\n"


def test_a_name_that_is_too_long_for_a_file_is_named() -> None:
    with pytest.raises(UnreadableError, match="is no file"):
        address_or_file("/" + "a" * 5000)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    with pytest.raises(UnreadableError) as raised:
        address("http://me:secret@host.example:80/metrics")

    assert str(raised.value) == (
        "host.example:80 cannot be asked with credentials in its address; "
        "give --token-file, or --header 'Authorization: …'"
    )
