"""Customers of the shop: each asks, thinks, and asks again."""

from __future__ import annotations

import http.client
import random
import threading
from types import TracebackType

from otel_obs.demonstration.shop import GOODS

THINK_S = 0.15
TIMEOUT_S = 10.0
WISHES = (("GET", "/", 2), ("GET", "/items/{}", 10), ("GET", "/search", 3), ("POST", "/checkout", 1))


class Customers:
    """Threads that ask inside of the `with` block; what a worker that ends leaves unanswered is passed over.

    Args:
        host: Where the shop is.
        port: Its port.
        count: How many there are.
    """

    def __init__(self, host: str, port: int, count: int) -> None:
        self._host, self._port = host, port
        self._are_gone = threading.Event()
        self._threads = [threading.Thread(target=self._shop, daemon=True) for _ in range(count)]

    def __enter__(self) -> Customers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._are_gone.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _shop(self) -> None:
        weights = [weight for _, _, weight in WISHES]
        while not self._are_gone.wait(random.expovariate(1 / THINK_S)):
            ((method, path, _),) = random.choices(WISHES, weights)
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
            try:
                # A few look for what there is not.
                connection.request(method, path.format(random.randrange(GOODS + 1)))
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
