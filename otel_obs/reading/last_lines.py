"""The last lines of a file, however large it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

MOST_BYTES = 16 * 1024 * 1024
"""How much of the end is read at most: a line has no limit of its own."""
PIECE = 64 * 1024


def last_lines(path: Path, count: int) -> list[str]:
    """The last *count* lines, without their ends; fewer where these are longer than `MOST_BYTES`.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return last_lines_of(file, count)


def last_lines_of(file: IO[bytes], count: int) -> list[str]:
    """The last lines of an open file; its position moves."""
    at = file.seek(0, os.SEEK_END)
    pieces: list[bytes] = []
    lines = size = 0
    # The line before the first wanted one has to end in what is read.
    while at > 0 and lines <= count and size < MOST_BYTES:
        length = min(PIECE, at, MOST_BYTES - size)
        at -= length
        file.seek(at)
        pieces.append(file.read(length))
        size += length
        lines += pieces[-1].count(b"\n")
    text = b"".join(reversed(pieces)).decode(errors="replace")
    found = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in found[-count:]]
