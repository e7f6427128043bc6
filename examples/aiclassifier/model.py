"""The model: a random forest that reads handwritten digits of 8 by 8 pixels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

SIDE = 8
BRIGHTEST = 16
TRAINED_ON = 1300  # of 1797 images; the rest were never seen by the model

Image = NDArray[np.float64]


class Prediction(NamedTuple):
    """What the model says of one image: a digit, and how probable it holds each of the ten."""

    label: int
    probabilities: tuple[float, ...]


class InvalidImageError(ValueError):
    """What was sent is no image that the model can read."""


class DigitModel:
    """A trained model."""

    def __init__(self) -> None:
        digits = load_digits()
        self._forest = RandomForestClassifier(n_estimators=120, random_state=7)
        self._forest.fit(digits.data[:TRAINED_ON], digits.target[:TRAINED_ON])

    def predict(self, image: Image) -> Prediction:
        """Classify one image of shape (64,)."""
        probabilities = self._forest.predict_proba(image.reshape(1, -1))[0]
        return Prediction(int(probabilities.argmax()), tuple(round(float(p), 4) for p in probabilities))


def read_image(rows: Any) -> Image:
    """Turn rows of brightness into what the model takes.

    Args:
        rows: 8 rows of 8 numbers from 0 (paper) to 16 (ink).

    Returns:
        The same, of shape (64,).

    Raises:
        InvalidImageError: The rows are anything else.
    """
    try:
        image = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidImageError("image is not a grid of numbers; expected 8 rows of 8") from None
    if image.shape != (SIDE, SIDE):
        raise InvalidImageError(f"image has shape {image.shape}; expected 8 rows of 8 numbers")
    if not ((image >= 0) & (image <= BRIGHTEST)).all():
        raise InvalidImageError("image has a number outside 0 to 16; expected 0 for paper to 16 for ink")
    return image.reshape(SIDE * SIDE)
