"""Cameras, and the frames that they make: bright things that move over noise, some of them in groups."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.float64]

HEIGHT, WIDTH = 120, 160
_NOISE = 0.06
_RADIUS = 4.0


class Camera:
    """A camera that sees the same scene again whenever it is switched on."""

    def __init__(self, camera_id: str) -> None:
        self._random = np.random.default_rng(zlib.crc32(camera_id.encode()))
        count = int(self._random.integers(3, 8))
        self._places = self._random.uniform((10, 10), (HEIGHT - 10, WIDTH - 10), (count, 2))
        self._steps = self._random.uniform(-2, 2, (count, 2))

    def frames(self, count: int) -> Iterator[Frame]:
        """The next frames, of brightness 0 to 1; shape (120, 160)."""
        for _ in range(count):
            self._move()
            yield self._draw()

    def _move(self) -> None:
        limits = np.array([HEIGHT, WIDTH])
        self._places += self._steps
        outside = (self._places < 6) | (self._places > limits - 6)
        self._steps[outside] *= -1
        self._places = np.clip(self._places, 6, limits - 6)

    def _draw(self) -> Frame:
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        frame = self._random.normal(0.1, _NOISE, (HEIGHT, WIDTH))
        for row, column in self._places:
            distance = (rows - row) ** 2 + (columns - column) ** 2
            frame += 0.8 * np.exp(-distance / (2 * _RADIUS**2))
        return np.clip(frame, 0, 1)
