"""A row of the table of settings."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

from otel_obs.settings import parsers as parse

T = TypeVar("T")


class SettingRow(Generic[T]):
    """A row, as an attribute of the table's class; of an instance without a value, it is the default.

    Attributes:
        field: The name of the attribute.
        variable: The variable of the environment.
        parser: How the variable's text becomes a value.
        default: The value where nothing is set.
        doc: What the setting does.
        is_secret: Whether its value is to be shown nowhere.
    """

    __slots__ = ("default", "doc", "field", "is_secret", "parser", "variable")

    def __init__(
        self, variable: str, parser: parse.Parser[T], default: T, doc: str, secret: bool = False
    ) -> None:
        self.field, self.variable, self.parser = "", variable, parser
        self.default, self.doc, self.is_secret = default, doc, secret

    def __set_name__(self, owner: type, name: str) -> None:
        self.field = name

    @overload
    def __get__(self, settings: None, owner: type) -> SettingRow[T]: ...

    @overload
    def __get__(self, settings: object, owner: type) -> T: ...

    def __get__(self, settings: Any, owner: type) -> SettingRow[T] | T:
        return self if settings is None else self.default
