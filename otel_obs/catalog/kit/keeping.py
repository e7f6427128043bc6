"""The handles that a metric has given out: one for each attribute set, as long as its series exists."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from otel_obs.catalog.kit.handles import MetricHandle
from otel_obs.catalog.kit.naming import Named
from otel_obs.cells.attributes import AttributeMapping
from otel_obs.errors import undeclared_attributes
from otel_obs.host.weak import WeakObjects

HandleT = TypeVar("HandleT", bound=MetricHandle)

_MAX_HANDLES = 8192


class HandleKeeper(ABC, Generic[HandleT]):
    """Resolves attributes to handles once, by `bind` or by `labels`, as `prometheus_client` has it."""

    _handle_type: ClassVar[Callable[..., MetricHandle]]
    by_hand: Callable[[str], None] | None = None
    """Called once with the family when the application itself records a metric that otel_obs records too."""

    def _init_handles(self, own: Iterable[str]) -> None:
        self._own = frozenset(own)  # attributes that `extend` declares later are optional in `labels`
        self._handles: dict[tuple[Any, ...], HandleT] = {}
        self._by_position: dict[tuple[object, ...], HandleT] = {}
        self._other_orders: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        self._others: WeakObjects[HandleT] = WeakObjects()  # not kept alive, but reset with all others

    @property
    @abstractmethod
    def name(self) -> str:
        """The family, as it is declared."""

    @property
    @abstractmethod
    def named(self) -> Named:
        """The metric under the naming in force."""

    @abstractmethod
    def translate(self, attributes: AttributeMapping) -> dict[str, Any]:
        """Turn the attributes that a caller gives into those of the series."""

    @abstractmethod
    def drop(self, reason: str, detail: str) -> None:
        """Count a refused measurement."""

    @abstractmethod
    def _bound(self, attributes: dict[str, Any], verb: str = "") -> Callable[..., None] | None:
        """The function that records to *attributes*, or the method that *verb* names."""

    @abstractmethod
    def _remove(self, attributes: AttributeMapping, remove: Callable[[Any], None]) -> None:
        """Remove series of the instrument."""

    def bind(self, attributes: AttributeMapping | None = None) -> HandleT:
        """Resolve *attributes* once; the handle outlives forks and later installations.

        Raises:
            DeclarationError: An attribute is not declared, or has a value outside its closed set.
        """
        if self.by_hand is not None:
            self._note_hand()
        return self.bind_for_service(attributes)

    def bind_for_service(self, attributes: AttributeMapping | None = None) -> HandleT:
        """Bind for otel_obs itself: this does not count as a recording by the application."""
        given = dict(attributes or {})
        self.translate(given)
        if all(type(value) is str for value in given.values()):
            return self._keep((*given, *given.values()), given)
        handle = self._handle(given)
        self._others.add(handle)
        return handle

    def labels(self, *values: object, **named: object) -> HandleT:
        """The handle of the series with these labels, by position or by name, as `prometheus_client` does it.

        Raises:
            DeclarationError: The labels are not those that the metric declares.
        """
        if self.by_hand is not None:
            self._note_hand()
        try:
            if not values:
                key = (*named, *named.values())
                return self._handles[key]
            if not named:
                return self._by_position[values]
        except (KeyError, TypeError):
            pass
        declared = self.named.declared
        if values:
            if named or len(values) not in (len(self._own), len(declared)):
                raise undeclared_attributes(self.name, [*map(str, values), *named], declared)
            named = dict(zip(declared, values, strict=False))
        if not self.named.has_all(self._own, named):
            raise undeclared_attributes(self.name, named, declared)
        texts = {key: str(value) for key, value in named.items()}
        handle = self._keep((*texts, *texts.values()), texts)
        # Only texts are keys: 1, 1.0 and True are equal, and are different labels.
        if len(self._by_position) < _MAX_HANDLES and all(type(value) is str for value in values):
            position = values or self._position(handle)
            self._by_position[position] = handle
        return handle

    def _note_hand(self) -> None:
        by_hand, self.by_hand = self.by_hand, None
        if by_hand is not None:
            by_hand(self.named.family)

    def remove(self, *labels: Any, until_s: float | None = None) -> None:
        """Drop a series, as the instrument's own `remove` does; what is recorded afterwards starts at 0.

        Args:
            labels: Its attributes, or all their values in the declared order, as `prometheus_client` has it.
            until_s: As in the instrument's `remove`.
        """
        declared = self.named.declared
        given = labels[0] or {} if len(labels) == 1 else dict(zip(declared, map(str, labels), strict=False))
        if not isinstance(given, Mapping) or len(given) < len(labels):
            self.drop("attributes", str(undeclared_attributes(self.name, map(str, labels), declared)))
            return
        self._remove(given, lambda instrument: instrument.remove(given, until_s=until_s))
        if all(type(value) is str for value in given.values()):  # only such handles are kept
            self._let_go([(*given, *given.values())])

    def remove_matching(self, attributes: AttributeMapping) -> None:
        """Drop every series that has at least *attributes*, as `remove` drops one."""
        given: Any = attributes
        if not isinstance(given, Mapping):
            self.drop("attributes", f"attributes {given!r} are not a mapping")
            return
        self._remove(attributes, lambda instrument: instrument.remove_matching(attributes))
        wanted = attributes.items()
        self._let_go(
            [key for key, handle in list(self._handles.items()) if wanted <= handle.attributes.items()]
        )

    def _position(self, handle: HandleT) -> tuple[object, ...]:
        """The values of a handle's labels in the declared order."""
        attributes = handle.attributes
        return tuple(attributes[name] for name in self.named.declared if name in attributes)

    def _let_go(self, keys: Iterable[tuple[Any, ...]]) -> None:
        """Keep the handles of removed series only weakly: they live as long as the application holds them."""
        for key in keys:
            ordered = _in_order(key)
            for each in (ordered, *self._other_orders.pop(ordered, ())):
                handle = self._handles.pop(each, None)
                if handle is not None:
                    self._by_position.pop(self._position(handle), None)
                    self._others.add(handle)

    def _keep(self, key: tuple[Any, ...], attributes: dict[str, Any]) -> HandleT:
        handle = self._handles.get(key)
        if handle is None:
            handle = self._handle(attributes)
            if len(self._handles) < _MAX_HANDLES:
                ordered = _in_order(key)
                if ordered != key:
                    self._other_orders.setdefault(ordered, []).append(key)
                return self._handles.setdefault(key, handle)
            self._others.add(handle)
        return handle

    def _handle(self, attributes: dict[str, Any]) -> HandleT:
        return self._handle_type(self._bound, attributes)  # type: ignore[return-value]

    def _reset_handles(self) -> None:
        for handle in (*list(self._handles.values()), *self._others.living()):
            handle.reset()


def _in_order(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key of a handle, names and then values, with its attributes in the order of their names."""
    size = len(key) // 2
    by_name = sorted(range(size), key=lambda at: str(key[at]))
    return (*(key[at] for at in by_name), *(key[size + at] for at in by_name))
