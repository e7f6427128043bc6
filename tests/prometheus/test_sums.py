"""What workers count together is the sum of what `prometheus_client` says in each of them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import prometheus_client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from otel_obs import prometheus
from otel_obs.cells.worker import Worker
from tests.prometheus.test_workers import Fork, Shared

Key = tuple[str, tuple[tuple[str, str], ...]]
STATES = ["off", "on", "lost"]

amounts = st.integers(0, 40).map(lambda number: number / 4)
signed = st.integers(-40, 40).map(lambda number: number / 4)
texts = st.sampled_from(["a", "b", 'q"\\\n', ""])


class Made(NamedTuple):
    """A metric, by what its constructor gets."""

    kind: str
    labels: tuple[str, ...]
    options: dict[str, Any]

    def make(self, number: int, registry: CollectorRegistry) -> Any:
        kind = getattr(prometheus_client, self.kind)
        return kind(f"m{number}", "", self.labels, registry=registry, **self.options)


class Done(NamedTuple):
    """One call, of a metric or one of its series."""

    metric: int
    labels: tuple[str, ...]
    method: str
    argument: Any

    def on(self, made: list[Any]) -> None:
        series = made[self.metric].labels(*self.labels) if self.labels else made[self.metric]
        if self.method != "labels":
            getattr(series, self.method)(self.argument)


_METHODS: dict[str, list[tuple[str, st.SearchStrategy[Any]]]] = {
    "Counter": [("inc", amounts)],
    "Gauge": [("inc", signed), ("dec", signed), ("set", signed)],
    "Summary": [("observe", signed)],
    "Histogram": [("observe", signed)],
    "Info": [("info", st.dictionaries(st.sampled_from(["v", "w"]), texts, min_size=1, max_size=2))],
    "Enum": [("state", st.sampled_from(STATES))],
}
_MODES = (None, "sum", "livesum", "max", "livemax", "min", "livemin", "mostrecent", "livemostrecent")


@st.composite
def metrics(draw: st.DrawFn) -> Made:
    kind = draw(st.sampled_from(list(_METHODS)))
    options: dict[str, Any] = {}
    if kind == "Gauge" and (mode := draw(st.sampled_from(_MODES))):
        options["multiprocess_mode"] = mode
    if kind == "Histogram":
        options["buckets"] = draw(st.sampled_from([(1, 2.5), (-1, 0, 5), (0.25,)]))
    if kind == "Enum":
        options["states"] = STATES
    return Made(kind, draw(st.sampled_from([(), ("k",), ("k", "l")])), options)


@st.composite
def calls(draw: st.DrawFn, made: list[Made]) -> Done:
    number = draw(st.integers(0, len(made) - 1))
    kind, labels, options = made[number]
    method, argument = draw(st.sampled_from(_METHODS[kind]))
    if "mostrecent" in options.get("multiprocess_mode", ""):
        method = "set"
    return Done(number, tuple(draw(texts) for _ in labels), method, draw(argument))


Service = tuple[list[Made], list[list[Done]]]


@st.composite
def services(draw: st.DrawFn) -> Service:
    """Some metrics, and what each of two or three workers does with them."""
    made = draw(st.lists(metrics(), min_size=1, max_size=4))
    work = st.lists(calls(made), max_size=12)
    return made, draw(st.lists(work, min_size=2, max_size=3))


def samples(registry: CollectorRegistry) -> dict[Key, float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def alone(made: list[Made], work: list[Done]) -> dict[Key, float]:
    """What `prometheus_client` says in a worker that does this."""
    registry = CollectorRegistry()
    own = [each.make(number, registry) for number, each in enumerate(made)]
    for call in work:
        call.on(own)
    return samples(registry)


def expected(made: list[Made], works: list[list[Done]]) -> dict[Key, float]:
    values: defaultdict[Key, list[float]] = defaultdict(list)
    has_set: defaultdict[Key, list[bool]] = defaultdict(list)
    for work in works:
        setting = {
            (f"m{call.metric}", tuple(sorted(zip(made[call.metric].labels, call.labels, strict=True))))
            for call in work
            if call.method == "set"
        }
        for key, value in alone(made, work).items():
            values[key].append(value)
            has_set[key].append(key in setting)
    merged = {key: merge(made[number_of(key)], each, has_set[key]) for key, each in values.items()}
    return {key: value for key, value in merged.items() if is_there(key, merged, made)}


def number_of(key: Key) -> int:
    return int(key[0][1:].partition("_")[0])


def merge(metric: Made, values: list[float], has_set: list[bool]) -> float:
    """Workers work one after the other: the last one that has set a gauge has set it last."""
    if metric.kind in ("Info", "Enum"):
        return max(values)
    mode = str(metric.options.get("multiprocess_mode", "latest")).removeprefix("live")
    if metric.kind == "Gauge" and mode in ("max", "min"):
        return max(values) if mode == "max" else min(values)
    if metric.kind == "Gauge" and mode in ("latest", "mostrecent"):
        latest = [value for value, is_set in zip(values, has_set, strict=True) if is_set]
        return latest[-1] if latest else sum(values)
    return sum(values)


def is_there(key: Key, merged: dict[Key, float], made: list[Made]) -> bool:
    """An `Info` without facts is there as long as no worker has stated any."""
    metric, (name, labels) = made[number_of(key)], key
    if metric.kind != "Info" or len(labels) > len(metric.labels):
        return True
    return not any(other == name and set(labels) < set(more) for other, more in merged)


_directories = itertools.count()


def join(worker: Worker) -> None:
    """Become a worker as a process does that is set up."""

    def open_store() -> None:
        worker.store()

    worker.exclusively(open_store)


def counted(made: list[Made], works: list[list[Done]], base: Path) -> dict[Key, float]:
    """What the workers of a service say together; the last one is this process."""
    directory = base / str(next(_directories))
    directory.mkdir()
    shared = Shared(directory)
    prometheus.install(shared)
    prometheus.stand_in()
    try:
        registry = prometheus.share(CollectorRegistry())
        own = [each.make(number, registry) for number, each in enumerate(made)]

        def do(work: list[Done]) -> None:
            join(shared.provider.worker)
            for call in work:
                call.on(own)

        with ExitStack() as stack:
            for work in works[:-1]:
                stack.enter_context(Fork(lambda work=work: do(work)))  # type: ignore[misc]
            do(works[-1])
            return samples(registry)
    finally:
        prometheus.stand_aside()
        prometheus.uninstall()


def test_workers_together_count_what_each_of_them_would(tmp_path: Path) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(services())
    @example(([Made("Gauge", (), {"multiprocess_mode": "min"})], [[], [Done(0, (), "inc", 0.25)]]))
    @example(([Made("Gauge", (), {})], [[Done(0, (), "set", 1)], [Done(0, (), "inc", 2)]]))
    def check(service: Service) -> None:
        assert counted(*service, tmp_path) == expected(*service)

    check()
