"""A metric of ours is called, in errors and wherever else it is named, what the client's is."""

from __future__ import annotations

import copy
import inspect
import pickle
from types import ModuleType
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from otel_obs import prometheus
from otel_obs.prometheus import share

KINDS = ("Counter", "Gauge", "Summary", "Histogram", "Info", "Enum")
WRONG: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((1,) * 7, {}),
    ((), {"nothing": 1}),
    ((1,), {"nothing": 1}),
    ((), {}),
)


def make(kind: str, library: ModuleType, is_shared: bool) -> Any:
    registry = CollectorRegistry()
    if is_shared:
        share(registry)
    options = {"states": ["on", "off"]} if kind == "Enum" else {}
    return getattr(library, kind)("m", "", registry=registry, **options)


@pytest.fixture(params=["unchanged", "changed"])
def library(request: pytest.FixtureRequest) -> Any:
    if request.param == "changed":
        yield prometheus
    else:
        prometheus.stand_in()
        yield prometheus_client
        prometheus.stand_aside()


def methods(kind: str) -> list[str]:
    theirs = getattr(prometheus_client, kind)
    return [name for name in dir(theirs) if not name.startswith("_") and callable(getattr(theirs, name))]


def said(call: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> str:
    try:
        call(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_its_methods_have_their_names_and_refuse_in_their_words(kind: str, library: ModuleType) -> None:
    for name in methods(kind):
        for arguments, options in WRONG:
            ours, theirs = make(kind, library, True), make(kind, prometheus_client, False)
            assert said(getattr(ours, name), arguments, options) == said(
                getattr(theirs, name), arguments, options
            )
        ours, theirs = getattr(ours, name), getattr(theirs, name)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)
        if inspect.isbuiltin(ours):
            continue  # a compiled one is called by the class of its object; what it refuses, Python's refuses
        if library is prometheus_client:
            assert (ours.__module__, ours.__qualname__) == (theirs.__module__, theirs.__qualname__)
        else:
            assert ours.__qualname__ == theirs.__qualname__


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_shown_copied_and_not_pickled_as_theirs(kind: str, library: ModuleType) -> None:
    ours, theirs = make(kind, library, True), make(kind, prometheus_client, False)
    if library is prometheus_client:
        assert (repr(ours), repr(type(ours))) == (repr(theirs), repr(type(theirs)))
    assert str(ours) == str(theirs)
    assert isinstance(ours, getattr(prometheus_client, kind))
    assert type(ours).__doc__ == type(theirs).__doc__
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot pickle"):
            attempt(ours)
    assert copy.copy(ours).collect() == list(ours.collect())


@pytest.mark.parametrize("kind", KINDS)
def test_its_type_makes_metrics(kind: str, library: ModuleType) -> None:
    metric = make(kind, library, True)
    options = {"states": ["on", "off"]} if kind == "Enum" else {}
    registry = share(CollectorRegistry())
    for labels in ([], ["k"]):
        another = type(metric)(f"other{len(labels)}", "", labels, registry=registry, **options)
        assert type(another) is type(metric)
        alone = type(metric)("alone", "", labels, registry=None, **options)
        assert type(alone) is getattr(library, kind)
    assert [family.name for family in registry.collect()] == ["other0", "other1"]


def test_registries_have_their_names() -> None:
    ours, theirs = share(CollectorRegistry()), CollectorRegistry()
    assert repr(ours).partition(" at ")[0] == repr(theirs).partition(" at ")[0]
    for name in ("register", "unregister", "get_sample_value", "restricted_registry", "set_target_info"):
        for arguments, options in WRONG:
            assert said(getattr(ours, name), arguments, options) == said(
                getattr(theirs, name), arguments, options
            )
    restricted = ours.restricted_registry(["x"])
    assert repr(type(restricted)) == repr(type(theirs.restricted_registry(["x"])))


def test_a_number_has_its_name() -> None:
    prometheus.stand_in()
    value = make("Counter", prometheus_client, True)._value
    prometheus.stand_aside()
    theirs = make("Counter", prometheus_client, False)._value
    assert repr(type(value)) == repr(type(theirs))
    for name in ("inc", "set", "get", "set_exemplar", "get_exemplar"):
        assert said(getattr(value, name), (1,) * 7, {}) == said(getattr(theirs, name), (1,) * 7, {})
