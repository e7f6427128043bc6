"""Foreign text as a terminal may show it: without control characters, which could change its state."""

from __future__ import annotations


def printable(text: object, kept: str = "") -> str:
    """*text* with every character escaped that is not printable, except those in *kept*.

    Among these are escape sequences, marks that turn the direction of writing, and surrogates, which stand
    for bytes that are no UTF-8.
    """
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in str(text)
    )
