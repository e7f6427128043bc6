"""A least-recently-used cache of predictions that knows how well it does."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict

from model import Prediction


class PredictionCache:
    """Predictions by image, one cache a worker, safe to use from threads."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.hits = 0
        self.misses = 0
        self.memory_bytes = 0
        self._entries: OrderedDict[bytes, Prediction] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, image: bytes) -> Prediction | None:
        """The prediction for an image that was seen lately, or None."""
        with self._lock:
            found = self._entries.get(image)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(image)
            return found

    def put(self, image: bytes, prediction: Prediction) -> None:
        """Remember a prediction, and forget the one unused for longest where the cache is full."""
        with self._lock:
            if image not in self._entries and len(self._entries) >= self.capacity:
                self.memory_bytes -= _size_bytes(*self._entries.popitem(last=False))
            if image not in self._entries:
                self.memory_bytes += _size_bytes(image, prediction)
            self._entries[image] = prediction


def _size_bytes(image: bytes, prediction: Prediction) -> int:
    """What one entry takes, roughly: its key, its tuple and its floats."""
    probabilities = prediction.probabilities
    floats = sum(map(sys.getsizeof, probabilities))
    return sys.getsizeof(image) + sys.getsizeof(prediction) + sys.getsizeof(probabilities) + floats
