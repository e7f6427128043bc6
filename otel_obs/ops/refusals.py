"""What a wish must not have: values that a program would refuse, or misread, in its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from otel_obs.errors import OperationsError

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_HOST_NAME = re.compile(r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9-]{1,63})*")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_NO_PART_OF_A_URL = re.compile(r"[\s\"'`\\{}<>|^]")


def refuse_address(what: str, address: str, example: str) -> None:
    """Refuse what is no `host:port`.

    Raises:
        OperationsError: It is none.
    """
    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found[2]) < 65536:
        raise OperationsError(f"{what} {address!r}", "is no host:port", f"write it as {example}")


def refuse_url(what: str, url: str) -> None:
    """Refuse what is no address of HTTP, or would break out of the text that it is written into.

    Raises:
        OperationsError: It is none.
    """
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or _NO_PART_OF_A_URL.search(url) or not url.isprintable():
        raise OperationsError(f"{what} {url!r}", "is no URL", "write it as https://host/path")


def refuse_labels(labels: Mapping[str, str]) -> None:
    """Refuse a label's name that Prometheus would refuse.

    Raises:
        OperationsError: There is one.
    """
    for name in labels:
        if not _LABEL_NAME.fullmatch(name) or name.startswith("__"):
            raise OperationsError(
                f"label {name!r}", "has no name that Prometheus takes", "use letters, digits and _"
            )


def refuse_host_name(what: str, name: str) -> None:
    """Refuse what is no name or address of a host.

    Raises:
        OperationsError: It is none.
    """
    if not _HOST_NAME.fullmatch(name):
        raise OperationsError(f"{what} {name!r}", "is no host's name", "write it as shop.example.org")


NAME_REMEDY = "give --job with at most 63 of: letters, digits, _ . -"


def refuse_name(what: str, name: str, remedy: str) -> None:
    """Refuse a name that units, directories, labels and objects of clouds cannot have.

    Raises:
        OperationsError: It is one.
    """
    if not _NAME.fullmatch(name):
        raise OperationsError(f"{what} {name!r}", "has a name that does not fit files and objects", remedy)


def refuse_image(image: str) -> None:
    """Refuse what is no image's name.

    Raises:
        OperationsError: It is none.
    """
    if not _IMAGE.fullmatch(image):
        raise OperationsError(f"--image {image!r}", "is no image", "write it as registry.example.org/shop:1")


def refuse_quantity(what: str, text: str, units: Sequence[str], example: str) -> None:
    """Refuse what is no whole number above 0 with one of these units.

    Raises:
        OperationsError: It is none.
    """
    if not re.fullmatch(rf"0*[1-9][0-9]*({'|'.join(units)})", text):
        raise OperationsError(
            f"{what} {text!r}", f"is no number of {' or '.join(units)}", f"write it as {example}"
        )


def refuse_doubles(what: str, names: Iterable[str], remedy: str) -> None:
    """Refuse two of one name, of which Prometheus would take one, or none.

    Raises:
        OperationsError: There are two.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise OperationsError(f"{what} {name!r}", "is there twice", remedy)
        seen.add(name)
