"""Detection by connected components, and the groups that what is detected makes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from scene import Frame

MODEL_TYPE = "components"

_SMOOTHING = 1.5
_THRESHOLD = 0.4
_SMALLEST = 12
_NEAR = 10


class Box(NamedTuple):
    """Where something is: rows and columns, the end not included."""

    top: int
    left: int
    bottom: int
    right: int


class Detection(NamedTuple):
    """What is in a frame. Things that are within a few pixels of each other are a group."""

    boxes: list[Box]
    groups: int


def detect(frame: Frame) -> Detection:
    """What is brighter than its surroundings; shape of *frame*: (height, width), brightness 0 to 1."""
    mask = ndimage.gaussian_filter(frame, _SMOOTHING) > _THRESHOLD
    labels, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, labels, np.arange(1, count + 1))
    boxes = [
        Box(rows.start, columns.start, rows.stop, columns.stop)
        for (rows, columns), size in zip(ndimage.find_objects(labels), sizes, strict=True)
        if size >= _SMALLEST
    ]
    _, groups = ndimage.label(ndimage.binary_dilation(mask, iterations=_NEAR // 2))
    return Detection(boxes, min(groups, len(boxes)))
