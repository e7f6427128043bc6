"""Run the classifier with several workers, send it real traffic, kill a worker, show that nothing is lost.

Usage: python -m demo [--once] [--break-model]      (in the directory of the example)
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from demo.exposition import Exposition
from demo.report import Facts, Killed, progress_bar, status_line, write_report
from demo.service import HOST, Service, ServiceError
from demo.traffic import Traffic
from otel_obs.live.loopback import LiveServer
from otel_obs.reading.fetch import Fetching

TICK_S = 0.25
SETTLE_S = 5.0
BETWEEN_LINES_S = 5.0
THINK_S = 0.05
BROKEN_S = 180.0  # ModelNotLoaded fires when a minute and a scrape are over


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--once", action="store_true", help="end after one report; 1 if a request is lost")
    parser.add_argument("--seconds", type=float, default=12.0, help="how long before the report (12)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients ask at the same time (8)")
    parser.add_argument("--workers", type=int, default=4, help="how many workers gunicorn starts (4)")
    parser.add_argument(
        "--break-model",
        action="store_true",
        help="the worker that takes the place of the killed one cannot load its model, for three minutes",
    )
    return parser.parse_args(arguments)


class Demo:
    """One run: the service, its clients, and what happened."""

    def __init__(self, service: Service, traffic: Traffic, clients: int, breaks_model: bool = False) -> None:
        self._service, self._traffic, self._clients = service, traffic, clients
        self._breaks_model = breaks_model
        self._repair_at_s = float("inf")
        self._start_s = time.monotonic()
        self._killed: Killed | None = None
        self._shows_progress = sys.stdout.isatty()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the clients started."""
        return time.monotonic() - self._start_s

    def run_for(self, seconds: float) -> None:
        """Let the clients ask for some time, and end a worker when half of it is over."""
        while self.elapsed_s < seconds:
            time.sleep(TICK_S)
            if self._killed is None and self.elapsed_s > seconds / 2:
                self.kill_worker()
            self._show_progress(self.elapsed_s / seconds)
        self._clear_progress()

    def kill_worker(self) -> None:
        """End the worker that has answered most, at a moment at which no request is under way."""
        with self._traffic.gate.closed():
            self.read_settled()
            before = set(self._service.workers())
            victim, answered = max(
                (found for found in self._traffic.tally.by_worker.items() if found[0] in before),
                key=lambda found: found[1],
            )
            if self._breaks_model:
                self._service.break_model()
                self._repair_at_s = self.elapsed_s + BROKEN_S
            self._service.kill(victim)
        after_s = self.elapsed_s
        self._clear_progress()
        print(f"  {after_s:4.1f} s   worker {victim} is killed with SIGKILL; the traffic goes on", flush=True)
        is_whole = self._service.wait_for_workers(without=victim)
        successor = next(iter(set(self._service.workers()) - before), None) if is_whole else None
        self._killed = Killed(victim, after_s, answered, successor)
        if self._breaks_model and successor is not None:
            print(
                f"           worker {successor} takes its place, and its model cannot be loaded", flush=True
            )

    def repair(self) -> None:
        """End the worker whose model is broken; the next one loads it."""
        self._repair_at_s = float("inf")
        self._service.repair_model()
        broken = self._killed.successor if self._killed else None
        if broken in self._service.workers():
            with self._traffic.gate.closed():
                self.read_settled()
                self._service.kill(broken)
            self._service.wait_for_workers(without=broken)
        print("  the model is repaired: the alert ends when each worker has loaded it", flush=True)

    def read_settled(self) -> Exposition:
        """What /metrics says once every answered request is counted, or what it still says after 5 seconds.

        A server counts a request when it is done with it, which is a moment after the client has the answer.
        """
        deadline_s = time.monotonic() + SETTLE_S
        while True:
            exposition = Exposition(self._service.read_metrics())
            counted = sum(exposition.requests().values())
            if counted >= self._traffic.tally.sent or time.monotonic() > deadline_s:
                return exposition
            time.sleep(0.02)

    def facts(self) -> Facts:
        """Everything about the run so far; the traffic pauses for an instant."""
        with self._traffic.gate.closed():
            exposition = self.read_settled()
            tally = self._traffic.tally.copy()
        return Facts(
            tally, exposition, self._killed, self.elapsed_s, self._clients, self._service.metrics_url
        )

    def go_on(self) -> None:
        """Until Ctrl-C: gentler traffic, and a line every few seconds."""
        self._traffic.think_s = THINK_S
        while True:
            time.sleep(BETWEEN_LINES_S)
            if self.elapsed_s > self._repair_at_s:
                self.repair()
            facts = self.facts()
            print(status_line(facts), flush=True)

    def _show_progress(self, done: float) -> None:
        if self._shows_progress:
            sent = f"{self._traffic.tally.sent:,} requests"
            print(f"\r  {self.elapsed_s:4.1f} s   [{progress_bar(done)}]  {sent}", end="", flush=True)

    def _clear_progress(self) -> None:
        if self._shows_progress:
            print("\r" + " " * 78 + "\r", end="")


@contextmanager
def live_page(metrics_url: str) -> Iterator[str]:
    """Serve the live page of the service on a free port of loopback; its address."""
    with LiveServer([metrics_url], Fetching({})) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


def watching(url: str) -> str:
    """What to type in another terminal to have Prometheus, alerts and dashboards."""
    command = os.path.normpath(Path(sys.executable).parent / "otel-obs")
    return (
        f"Prometheus, alerts and dashboards for it, from another terminal:\n  {command} stack up --from {url}"
    )


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration; the exit code is 1 if a request was lost or counted twice."""
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(
        "\n  Digit classifier, unchanged, under: opentelemetry-instrument gunicorn "
        f"-w {options.workers} app:app\n",
        flush=True,
    )
    try:
        with Service(options.workers, options.break_model) as service:
            start_s = time.monotonic()
            service.wait_until_ready()
            ready_s = time.monotonic() - start_s
            with (
                live_page(service.metrics_url) as address,
                Traffic(HOST, service.port, options.clients) as traffic,
            ):
                print(f"  {address} shows it live: open it in a browser", flush=True)
                print(f"  {service.metrics_url} answers after {ready_s:.1f} s\n", flush=True)
                if not options.once:
                    print(f"  {watching(service.url)}\n", flush=True)
                return run(Demo(service, traffic, options.clients, options.break_model), options)
    except ServiceError as error:
        print(f"  {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run(demo: Demo, options: argparse.Namespace) -> int:
    """The story of one run, and its exit code."""
    demo.run_for(options.seconds)
    facts = demo.facts()
    print("\n" + write_report(facts) + "\n", flush=True)
    if not options.once:
        print(
            "  Gentler traffic goes on, pausing at each comparison. Ctrl-C ends it.\n",
            flush=True,
        )
        try:
            demo.go_on()
        except KeyboardInterrupt:
            facts = demo.facts()
            print("\n\n" + write_report(facts) + "\n")
    return 0 if facts.is_exact else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
