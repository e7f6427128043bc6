"""The corpus: sentences from customers' reviews of a camera, a DVD player, an MP3 player and a phone."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

CORPUS = Path(__file__).with_name("reviews.tsv")

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_FREQUENT = frozenset(
    _WORD.findall(
        "a about after all also am an and any are as at be been but by can did do does for from get got"
        " had has have he how i if in into is it it's its just me more my no not of on one only or other"
        " our out so some than that the their them then there these they this to too up very was we were"
        " what when where which who why will with would you your"
    )
)


class Review(NamedTuple):
    """One sentence of a review; people rated its sentiment from -4 to 4."""

    category: str
    review: int
    sentiment: float
    text: str


def words_of(text: str) -> list[str]:
    """The words that say what a text is about, in order; plurals lose their s."""
    found = (word for word in _WORD.findall(text.lower()) if word not in _FREQUENT)
    return [
        word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
        for word in found
    ]


def read_reviews(path: Path = CORPUS) -> Iterator[Review]:
    """Every sentence of the corpus."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield Review(row["category"], int(row["review"]), float(row["sentiment"]), row["text"])
