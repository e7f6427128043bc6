"""Gives classes of this package the names that those of `prometheus_client` have in errors and `help`."""

from __future__ import annotations

from types import FunctionType
from typing import TypeVar

KindT = TypeVar("KindT", bound=type)


def named_as(kind: KindT, theirs: type) -> KindT:
    """Give the methods of *kind* the qualified names of those in *theirs*, for errors and `help`.

    Methods that *theirs* does not have, even by inheritance, keep their names. So a call with wrong arguments
    raises `Gauge.inc() got …`, whichever class defines the method here.
    """
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)
        owner = next((each for each in theirs.__mro__ if name in vars(each)), None)
        if isinstance(function, FunctionType) and owner is not None:
            function.__module__ = owner.__module__
            function.__qualname__ = f"{owner.__qualname__}.{name}"
    return kind


def known_as(kind: KindT, theirs: type) -> KindT:
    """Give *kind* itself, too, the name of *theirs*."""
    for name in ("__module__", "__name__", "__qualname__"):
        setattr(kind, name, getattr(theirs, name))
    return named_as(kind, theirs)
