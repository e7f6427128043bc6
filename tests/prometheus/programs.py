"""Programs against the API of `prometheus_client`, made up by hypothesis, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import prometheus_client
from hypothesis import strategies as st

NEWER = ("remove", "remove_by_labels", "clear", "reset")
"""What `prometheus_client` before 0.23 has not, or in a way that was mended since."""

IS_OLD = not hasattr(prometheus_client.Counter, "remove_by_labels")
KINDS = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum")
STATES = ["starting", "running", "stopped"]
MODES = ("all", "livemax", "mostrecent", "sum", "median")

texts = st.sampled_from(["GET", "/items/{id}", 'a "b"', "back\\slash", "two\nlines", "", "é", "平"])
values = st.one_of(texts, st.sampled_from([200, 200.0, -0.0, 0.0, True, 1, None, b"x"]))
names = st.sampled_from(
    [
        "requests",
        "requests_total",
        "latency_seconds",
        "http__in",
        "UPPER",
        "_x",
        "a:b",
        "total",
        "x_info",
        "1x",
    ]
)
label_names = st.sampled_from(["method", "code", "Zone", "a__b", "é", "pid", "latency_seconds"])
amounts = st.one_of(
    st.floats(min_value=-3, max_value=20, width=32),
    st.sampled_from([0, 1, 5, True, 0.25, float("inf"), float("-inf"), float("nan"), 1e300]),
)
exemplars = st.sampled_from(
    [None, {}, {"trace_id": "abc"}, {"a": "b\n", "b": '"'}, {"x": "y" * 127}, {"x": "y" * 128}, {"__r": "x"}]
)
facts = st.sampled_from(["version", "method", "zone"])
buckets = st.sampled_from(
    [None, (1, 2), [0.5, 1, 5, float("inf")], ["0.1", "1e3"], (-1.0, 0.0, 1.0), (2e6, 3e6)]
)


class Metric(NamedTuple):
    """Make a metric."""

    kind: str
    name: str
    documentation: str
    labels: list[str]
    options: dict[str, Any]


class Call(NamedTuple):
    """Call a method of a metric, or of a series of it."""

    metric: int
    labels: tuple[Any, ...] | None
    named: bool
    method: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]


class Registering(NamedTuple):
    """Take a metric out of the registry, or put it in."""

    metric: int
    verb: str


Step = Metric | Call | Registering


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    kind = draw(st.sampled_from(KINDS))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["namespace"] = draw(st.sampled_from(["", "shop"]))
        options["subsystem"] = draw(st.sampled_from(["", "api"]))
    if draw(st.integers(0, 3)) == 0 and kind not in ("Info", "Enum"):
        options["unit"] = draw(st.sampled_from(["seconds", "bytes", "ratio", "total", "ms", ""]))
    if kind == "Gauge" and draw(st.booleans()):
        options["multiprocess_mode"] = draw(st.sampled_from(MODES[:-1]))
    if kind == "Histogram" and (bounds := draw(buckets)) is not None:
        options["buckets"] = bounds
    if kind == "Enum":
        options["states"] = draw(st.sampled_from([STATES, STATES[:1]]))
    labels = draw(st.lists(label_names, max_size=2, unique=True))
    documentation = draw(st.sampled_from(["help", "", 'with "quotes", \\ and\nlines', "é"]))
    return Metric(kind, draw(names), documentation, labels, options)


@st.composite
def odd_metrics(draw: st.DrawFn) -> Metric:
    """A metric that is likely to be refused."""
    metric = draw(metrics())
    options: dict[str, Any] = dict(metric.options)
    odd: dict[str, Any] = draw(
        st.sampled_from(
            [
                {"unit": "seconds"},
                {"multiprocess_mode": "median"},
                {"buckets": (3, 1)},
                {"buckets": [float("inf")]},
                {"states": []},
                {"nothing": 1},
            ]
        )
    )
    name = draw(st.sampled_from([metric.name, "", "requests"]))
    labels = draw(st.sampled_from([metric.labels, ["__x"], ["le"], ["quantile"], ["requests"]]))
    return metric._replace(name=name, labels=labels, options={**options, **odd})


_METHODS: dict[str, st.SearchStrategy[tuple[str, tuple[Any, ...], dict[str, Any]]]] = {
    "inc": st.builds(lambda amount: ("inc", (amount,), {}), amounts),
    "inc with an exemplar": st.builds(lambda each: ("inc", (2,), {"exemplar": each}), exemplars),
    "dec": st.builds(lambda amount: ("dec", (amount,), {}), amounts),
    "set": st.builds(lambda amount: ("set", (amount,), {}), st.one_of(amounts, st.just("7.5"))),
    "observe": st.builds(lambda amount: ("observe", (amount,), {}), amounts),
    "observe with an exemplar": st.builds(
        lambda amount, each: ("observe", (amount,), {"exemplar": each}), amounts, exemplars
    ),
    "info": st.builds(
        lambda facts: ("info", (facts,), {}),
        st.dictionaries(
            st.sampled_from(["version", "method", "zone"]), st.one_of(texts, st.none()), max_size=2
        ),
    ),
    "state": st.builds(lambda state: ("state", (state,), {}), st.sampled_from([*STATES, "lost"])),
    "with an odd amount": st.builds(
        lambda method, amount: (method, (amount,), {}),
        st.sampled_from(["inc", "dec", "set"]),
        st.sampled_from(["x", "7.5", None, Decimal("1.5"), Fraction(1, 4), 10**400]),
    ),
    "with wrong arguments": st.builds(
        lambda method, count, options: (method, (1,) * count, options),
        st.sampled_from(["inc", "dec", "set", "observe", "state", "time", "count_exceptions", "clear"]),
        st.integers(0, 4),
        st.sampled_from([{}, {"nothing": 1}, {"amount": 1}, {"exemplar": None}, {"value": 2}]),
    ),
    "set_function": st.builds(lambda value: ("set_function", (lambda: value,), {}), st.floats(0, 9)),
    "set_to_current_time": st.just(("set_to_current_time", (), {})),
    "reset": st.just(("reset", (), {})),
    "clear": st.just(("clear", (), {})),
    "remove": st.builds(lambda given: ("remove", tuple(given), {}), st.lists(values, max_size=2)),
    "labels": st.just(("labels", (), {})),
    "remove_by_labels": st.builds(
        lambda given: ("remove_by_labels", (given,), {}),
        st.dictionaries(label_names, values, max_size=2),
    ),
}


_BY_KIND = {
    "Counter": ["inc", "inc with an exemplar", "reset"],
    "Gauge": ["inc", "dec", "set", "set_to_current_time", "set_function"],
    "Summary": ["observe"],
    "Histogram": ["observe", "observe with an exemplar"],
    "Info": ["info"],
    "Enum": ["state"],
}
_OF_ALL = ["clear", "remove", "remove_by_labels", "labels"]
_WRONG = ["with wrong arguments", "with an odd amount"]


@st.composite
def calls(draw: st.DrawFn, made: list[Metric]) -> Call:
    """A call that mostly fits one of the metrics that were made."""
    number = draw(st.integers(0, len(made) - 1))
    metric = made[number]
    is_fitting = draw(st.integers(0, 9)) > 0
    verb = draw(
        st.sampled_from([*_BY_KIND[metric.kind] * 3, *_OF_ALL, *_WRONG] if is_fitting else list(_METHODS))
    )
    method, arguments, options = draw(_METHODS[verb])
    count = len(metric.labels) if is_fitting else draw(st.integers(0, 2))
    if verb == "remove" and is_fitting:
        arguments = tuple(draw(st.lists(values, min_size=count, max_size=count)))
    labels: tuple[Any, ...] | None = tuple(draw(st.lists(values, min_size=count, max_size=count)))
    if verb in _OF_ALL or not count or not draw(st.integers(0, 9)):
        labels = None
    return Call(number, labels, draw(st.booleans()), method, arguments, options)


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    """A few metrics, then whatever is done to them."""
    made = draw(st.lists(metrics(), min_size=1, max_size=4))
    registerings = st.builds(Registering, st.integers(0, 5), st.sampled_from(["unregister", "register"]))
    step = st.one_of(calls(made), calls(made), calls(made), calls(made), odd_metrics(), registerings)
    return [*made, *draw(st.lists(step, max_size=30))]


@dataclass
class Outcome:
    """What a program came to: of each step an error, and of the registry all that can be asked."""

    errors: list[str] = field(default_factory=list)
    families: list[Any] = field(default_factory=list)
    text: str = ""
    openmetrics: str = ""


def run(library: ModuleType, openmetrics: Callable[..., bytes], program: list[Step]) -> Outcome:
    """Run *program* against *library*, one second a step."""
    outcome = Outcome()
    registry = library.CollectorRegistry()
    if library is not prometheus_client:
        library.share(registry)
    made: list[Any] = []
    for second, step in enumerate(program):
        with mock.patch.object(time, "time", lambda second=second: 1.7e9 + second):
            try:
                outcome.errors.append(_do(library, registry, made, step))
            except Exception as error:
                outcome.errors.append(_describe(error))
    outcome.families = [_plain(family) for family in registry.collect()]
    outcome.text = library.generate_latest(registry).decode()
    try:
        outcome.openmetrics = openmetrics(registry).decode()
    except ValueError as error:
        outcome.openmetrics = str(error.args[0])
    return outcome


def _plain(family: Any) -> tuple[Any, ...]:
    """A family as text, since not a number equals nothing."""
    samples = [
        (
            each.name,
            sorted(each.labels.items()) if family.type == "info" else list(each.labels.items()),
            repr(float(each.value)),
            each.timestamp,
            each.exemplar
            and (each.exemplar.labels, repr(float(each.exemplar.value)), each.exemplar.timestamp),
        )
        for each in family.samples
    ]
    return family.name, family.documentation, family.type, family.unit, samples


def _plain_exemplar(exemplar: Any) -> object:
    return exemplar and (exemplar.labels, repr(float(exemplar.value)), exemplar.timestamp)


def _do(library: ModuleType, registry: Any, made: list[Any], step: Step) -> str:
    if isinstance(step, Metric):
        made.append(None)
        kind = getattr(library, step.kind)
        made[-1] = kind(step.name, step.documentation, step.labels, registry=registry, **step.options)
        return ""
    metric = made[step.metric % len(made)]
    if metric is None:
        return ""
    if isinstance(step, Registering):
        getattr(registry, step.verb)(metric)
        return ""
    if step.labels is not None and step.named:
        metric = metric.labels(**dict(zip(reversed(metric._labelnames), step.labels, strict=False)))
    elif step.labels is not None:
        metric = metric.labels(*step.labels)
    if not hasattr(metric, step.method) or _is_private_business(metric, step):
        return ""
    result = getattr(metric, step.method)(*step.arguments, **step.options)
    return "" if result is None else type(result).__name__


def _is_private_business(metric: Any, step: Call) -> bool:
    """Wrong use that `prometheus_client` does not check, so that it stumbles over a missing attribute."""
    is_parent = bool(metric._labelnames) and not metric._labelvalues
    is_series = bool(metric._labelvalues)
    if IS_OLD and (step.method in NEWER or (step.method == "info" and None in step.arguments[0].values())):
        return True
    if step.method in ("info", "reset"):
        return is_parent
    return is_series and step.method in ("remove", "remove_by_labels", "clear")


def _describe(error: Exception) -> str:
    if type(error).__name__ in ("DuplicateTimeseries", "ValueError") and "Duplicated" in str(error):
        return "Duplicated timeseries"  # the names come in any order
    if isinstance(error, (KeyError, OverflowError)):
        return type(error).__name__
    return f"{type(error).__name__}: {error}"
