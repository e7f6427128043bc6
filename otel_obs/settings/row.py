"""A row of the table of settings."""

from __future__ import annotations

from dataclasses import field
from typing import Any, NamedTuple, TypeVar

from otel_obs.settings import parsers as parse

T = TypeVar("T")


class SettingRow(NamedTuple):
    """One row of the table."""

    field: str
    variable: str
    parser: parse.Parser[Any]
    default: Any
    doc: str


def variable(variable: str, parser: parse.Parser[T], default: T, doc: str, secret: bool = False) -> T:
    """A field of the table: its variable, the parser of its text, its default, and what it does."""
    value: T = field(default=default, repr=not secret, metadata={"row": (variable, parser, default, doc)})
    return value
