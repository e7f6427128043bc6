"""The measure of linear time: four times the input takes four times as long."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import process_time

SIZE = 1 << 13
FACTOR = 4
LEAST_S = 0.004
"""What reads so much in less time cannot be measured, and need not."""

MOST = 2.2 * FACTOR
"""What is quadratic takes 16 times as long, and what is linear sometimes 6 times on a busy machine."""

EVIL = {
    "escaped quotes": lambda n: '"' + '\\"' * (n // 2),
    "quotes": lambda n: '"' * n,
    "odd quotes": lambda n: '"' * (n | 1),
    "backslashes": lambda n: '"' + "\\" * n,
    "commas": lambda n: "," * n,
    "semicolons": lambda n: ";" * n,
    "parameters": lambda n: 'a;q="' * (n // 5),
    "stars and a digit": lambda n: "*" * n + "3f9a",
    "letters": lambda n: "a" * n,
    "letters, then none": lambda n: "a" * n + "!",
    "digits": lambda n: "9" * n,
    "digits, then none": lambda n: "9" * n + "!",
    "dashes and digits": lambda n: "a-1" * (n // 3) + "!",
    "blanks": lambda n: " " * n + "x",
    "brackets": lambda n: "(" * n,
    "braces": lambda n: "{" * n,
    "comments": lambda n: "/*" * (n // 2),
    "closed comments": lambda n: "/**/" * (n // 4),
    "dashed comments": lambda n: "--\n" * (n // 3),
    "underscores": lambda n: "_" * n,
    "dots": lambda n: "." * n,
    "surrogates": lambda n: "\ud800" * n,
    "percents": lambda n: "%" * n,
    "pairs": lambda n: "&name[]=x" * (n // 9),
    "equals": lambda n: "a=b," * (n // 4),
    "zeros": lambda n: "0." + "0" * n,
    "open variables": lambda n: "${a:" * (n // 4),
    "brackets and words": lambda n: "[[a:" * (n // 4),
    "parentheses": lambda n: "label_values(" + ") ," * (n // 3),
    "slashes": lambda n: "/1" * (n // 2),
    "tabs": lambda n: "a \t" * (n // 3) + "{",
    "hashes": lambda n: "# " * (n // 2),
    "lines": lambda n: "a 1\n" * (n // 4),
    "titles": lambda n: "gunicorn: a [" * (n // 13),
    "escape sequences": lambda n: "\x1b[" + "0;" * (n // 2),
    "offsets": lambda n: "offset " * (n // 7) + " " * (n // 2),
    "control characters": lambda n: "\0\n" * (n // 2),
}


def seconds(work: Callable[[], object]) -> float:
    """Processor time without the collector of garbage, which walks through all that other tests have left."""
    collected = gc.isenabled()
    gc.disable()
    try:
        started_s = process_time()
        work()
        return process_time() - started_s
    finally:
        if collected:
            gc.enable()


def check(work: Callable[[int], object], size: int, what: str = "") -> None:
    """Compare the time of an input with that of four times as much."""
    few, many = (lambda: work(size)), (lambda: work(size * FACTOR))
    many_s = seconds(many)
    for _ in range(5):
        few_s = seconds(few)
        if many_s < max(LEAST_S, MOST * few_s):
            return
        many_s = min(many_s, seconds(many))
    raise AssertionError(f"{what}: {FACTOR} times {size} takes {many_s / few_s:.1f} times as long")


def check_text(read: Callable[[str], object]) -> None:
    """Compare the time of every text that has been hard for some parser."""
    for name, make in EVIL.items():
        check(lambda size, make=make: read(make(size)), SIZE, name)  # type: ignore[misc]
