"""An application's own attributes of each request, with declared names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_obs.errors import DeclarationError
from otel_obs.http.exclusion import Carrier
from otel_obs.http.profiles import Outcome, Profile
from otel_obs.settings.parsers import is_label_name

RESERVED = frozenset({"le", "quantile"})
"""Labels that Prometheus uses for histograms and summaries."""


@dataclass(frozen=True)
class ExtraLabels:
    """An application's own attributes of each request.

    Args:
        names: All names that `of` may return; an undeclared one is dropped, a missing one is "".
        of: Called with the WSGI environ or ASGI scope, the status, and the response's headers as the server
            gets them; returns the values by name. Keep their number small: each new value is a new series.

    Raises:
        DeclarationError: One of *names* cannot be a label.
    """

    names: tuple[str, ...]
    of: Callable[[Carrier, int, Iterable[tuple[Any, Any]]], Mapping[str, object]]

    def __post_init__(self) -> None:
        given = vars(self)["names"]  # `("team")` without a comma is a str
        if isinstance(given, str):
            raise DeclarationError(given, "is one text and no tuple of names", f"write ({given!r},)")
        for name in self.names:
            if not is_label_name(name.replace(".", "_")) or name.startswith("__") or name in RESERVED:
                raise DeclarationError(
                    name,
                    "cannot be a label of requests",
                    "use letters, digits and _, and no name of Prometheus' own",
                )
        if len(set(self.names)) < len(self.names):
            raise DeclarationError(", ".join(self.names), "names a label twice")


def check_apart(extra: ExtraLabels, naming: Profile) -> None:
    """Refuse names that requests of the profile *naming* have already.

    Raises:
        DeclarationError: *extra* has such a name.
    """
    whole = Outcome("GET", "http", "1.1", "", "/", 500, 500, "Error")
    for name in extra.names:
        if name in naming.total(whole):
            raise DeclarationError(name, "is a label of every request already", "give yours another name")
