"""Clients that ask the classifier, and that know exactly which of their requests were answered."""

from __future__ import annotations

import copy
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sklearn.datasets import load_digits

from model import TRAINED_ON

UNMATCHED = "__unmatched__"
FAVOURITES = 40  # how many images get most of the requests
TIMEOUT_S = 30.0


class Route(NamedTuple):
    """How a request is counted, but for its status."""

    method: str
    endpoint: str


class Ask(NamedTuple):
    """One request to send, and the digit that it shows."""

    route: Route
    path: str
    body: bytes | None = None
    digit: int | None = None


class Gate:
    """Lets requests pass, and can be closed: then none is under way.

    A request that a killed worker had accepted may or may not have been counted, and nobody could say. So a
    worker is killed, and sent and counted are compared, while the gate is closed.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = True
        self._under_way = 0
        self.closings = 0

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait until the gate is open; it cannot be closed inside."""
        with self._changed:
            self._changed.wait_for(lambda: self._open)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let no request start, and wait until the last one under way has its answer."""
        with self._changed:
            self._open = False
            self.closings += 1
            self._changed.wait_for(lambda: self._under_way == 0)
        try:
            yield
        finally:
            with self._changed:
                self._open = True
                self._changed.notify_all()


class Tally:
    """What all clients saw together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answered: Counter[tuple[Route, str]] = Counter()
        self.by_worker: Counter[int] = Counter()
        self.unanswered = 0
        self.read_right = 0
        self.read = 0

    def copy(self) -> Tally:
        """What was seen so far; it stays as it is while the clients go on."""
        with self._lock:
            copied = copy.copy(self)
            copied.answered, copied.by_worker = self.answered.copy(), self.by_worker.copy()
        return copied

    @property
    def sent(self) -> int:
        """Every request, answered or not."""
        return sum(self.answered.values()) + self.unanswered

    def add(self, ask: Ask, status: int, worker: int, label: int | None) -> None:
        """Note an answer."""
        with self._lock:
            self.answered[ask.route, str(status)] += 1
            self.by_worker[worker] += 1
            if label is not None:
                self.read += 1
                self.read_right += label == ask.digit

    def add_unanswered(self) -> None:
        """Note a request whose connection ended before its answer."""
        with self._lock:
            self.unanswered += 1


class Traffic:
    """Some clients, each a thread with one connection; running inside the `with` block.

    `think_s` is how long each waits between two requests.
    """

    def __init__(self, host: str, port: int, clients: int) -> None:
        self.gate = Gate()
        self.tally = Tally()
        self.think_s = 0.0
        self._address = host, port
        self._over = threading.Event()
        asks = list(predictions())
        self._threads = [
            threading.Thread(target=self._run, args=(mixed(asks, random.Random(seed)),), daemon=True)
            for seed in range(clients)
        ]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _run(self, next_ask: Callable[[], Ask]) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_S)
        closings = 0
        while not self._over.is_set():
            ask = next_ask()
            with self.gate.passing():
                if closings != self.gate.closings:
                    # The worker at the other end of a kept connection may be the one that was killed.
                    closings = self.gate.closings
                    connection.close()
                self._send(connection, ask)
            self._over.wait(self.think_s)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, ask: Ask) -> None:
        headers = {"Content-Type": "application/json"} if ask.body else {}
        try:
            connection.request(ask.route.method, ask.path, ask.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.tally.add_unanswered()
            connection.close()
            time.sleep(0.1)
            return
        label = json.loads(body)["label"] if ask.digit is not None and answer.status == 200 else None
        self.tally.add(ask, answer.status, int(answer.headers.get("X-Worker", 0)), label)


def predictions() -> Iterator[Ask]:
    """One request for each image that the model was not trained on."""
    digits = load_digits()
    for image, digit in zip(digits.images[TRAINED_ON:], digits.target[TRAINED_ON:], strict=True):
        body = json.dumps({"image": image.tolist()}).encode()
        yield Ask(Route("POST", "/predict"), "/predict", body, int(digit))


def mixed(asks: list[Ask], chance: random.Random) -> Callable[[], Ask]:
    """What one client asks: mostly predictions, some images far more often than others."""

    def predict() -> Ask:
        return asks[min(int(chance.expovariate(1 / FAVOURITES)), len(asks) - 1)]

    def predict_any() -> Ask:
        return chance.choice(asks)

    def health() -> Ask:
        return Ask(Route("GET", "/health"), "/health")

    def page() -> Ask:
        return Ask(Route("GET", "/"), "/")

    def bad_image() -> Ask:
        return Ask(Route("POST", "/predict"), "/predict", b'{"image": [[1, 2], [3]]}')

    def scanner() -> Ask:
        return Ask(Route("GET", UNMATCHED), f"/{chance.getrandbits(32):x}.php")

    kinds = predict, predict_any, health, page, bad_image, scanner
    weights = 60, 20, 8, 6, 3, 3
    return lambda: chance.choices(kinds, weights)[0]()
