"""What our classes are called where an application reads it: as the classes of `prometheus_client` are."""

from __future__ import annotations

from types import FunctionType
from typing import TypeVar

KindT = TypeVar("KindT", bound=type)


def named_as(kind: KindT, theirs: type) -> KindT:
    """Have the methods of *kind* be called in errors and in `help` what those of *theirs* are.

    Only what the other class has too, be it from a base of it: a call with the wrong arguments is answered
    with `Gauge.inc() got …`, whichever class of ours has the method.
    """
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)
        owner = next((each for each in theirs.__mro__ if name in vars(each)), None)
        if isinstance(function, FunctionType) and owner is not None:
            function.__module__ = owner.__module__
            function.__qualname__ = f"{owner.__qualname__}.{name}"
    return kind


def known_as(kind: KindT, theirs: type) -> KindT:
    """Have *kind* itself, too, be called what *theirs* is."""
    for name in ("__module__", "__name__", "__qualname__"):
        setattr(kind, name, getattr(theirs, name))
    return named_as(kind, theirs)
