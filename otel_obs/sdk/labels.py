"""The `.labels(…).inc()` manner of recording, beside OpenTelemetry's `.add(…, {…})`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Any, Generic

from otel_obs.errors import DeclarationError, undeclared_attributes
from otel_obs.host import gil
from otel_obs.host.weak import weakly
from otel_obs.sdk.aggregate import Aggregator
from otel_obs.sdk.bound import Bound, BoundT
from otel_obs.sdk.current_context import current_context
from otel_obs.sdk.owner import Owner


class Labelled(Generic[BoundT]):
    """An instrument whose series are chosen with `labels`.

    `label_names` are the labels that the instrument declares, in the order in which `labels` takes
    their values; an instrument that declares none takes its labels by keyword only.
    """

    name: str
    label_names: tuple[str, ...]
    _owner: Owner
    aggregators: Callable[[], list[Aggregator]]
    _teach: Callable[[Bound], None]
    _let_go: Callable[[Bound], object]
    _record_whole: Callable[[float, Mapping[str, Any] | None, Any], None]

    def _init_labels(self, names: Sequence[str]) -> None:
        self.label_names = tuple(names)
        self._children: dict[tuple[object, ...], BoundT] = {}
        self._by_name: dict[tuple[object, ...], BoundT] = {}
        self._has_children = False
        self._let_go = self._forget_child

    @abstractmethod
    def bind(self, attributes: Mapping[str, Any] | None = None) -> BoundT:
        """Resolve *attributes* once."""

    def labels(self, *values: object, **named: object) -> BoundT:
        """The series with these labels, given in their declared order or by name.

        The series exists from now on, at 0; or from the first record on, if this process has recorded nothing
        yet.

        Raises:
            DeclarationError: The labels are not those that the instrument declares.
        """
        if not (values and named):
            for value in values or named.values():
                if type(value) is not str:
                    break
            else:
                known = self._by_name.get((*named, *named.values())) if named else self._children.get(values)
                if known is not None:
                    return known
        return self._find_child(values, named)

    def _find_child(self, values: tuple[object, ...], named: dict[str, object]) -> BoundT:
        texts = self._texts(values, named)
        names = self.label_names or tuple(named)
        key = texts if self.label_names else (*names, *texts)
        child = self._children.get(key)
        if child is None:
            if not self._has_children:
                self._has_children = True
                self._owner.worker.on_open.append(weakly(self._make_children))
            child = self.bind(dict(zip(names, texts, strict=True)))
            if self._owner.worker.opened is not None:
                self.make(child)
                if not self._has_series(child):
                    return child  # beyond the limit: it is not kept, or each value would cost memory
            self._children[key] = child
        if named:
            by_name = (*named, *map(str, named.values()))
            self._by_name[by_name] = child
        return child

    def _has_series(self, child: Bound) -> bool:
        return child._cells is not None or any(
            aggregator.identify(child.attributes) in aggregator.series for aggregator in self.aggregators()
        )

    def _forget_child(self, child: Bound) -> None:
        """Drop the handle of a removed series, so that it lives only as long as its user holds it."""
        given = child.attributes
        names = self.label_names or tuple(given)
        if set(names) <= set(given):
            texts = tuple(given[name] for name in names)
            self._children.pop(texts if self.label_names else (*names, *texts), None)
        for by_name in [key for key, known in list(self._by_name.items()) if known is child]:
            self._by_name.pop(by_name, None)

    def _texts(self, values: tuple[object, ...], named: dict[str, object]) -> tuple[str, ...]:
        """The labels' values as text, in the order in which the labels are declared."""
        names = self.label_names or tuple(named)
        if values and named:
            raise DeclarationError(
                self.name, "got labels both by position and by name", "give one or the other"
            )
        if named and set(named) != set(names):
            raise undeclared_attributes(self.name, named, names)
        if not named and len(values) != len(names):
            raise DeclarationError(self.name, f"got {len(values)} label values; it declares {list(names)}")
        return tuple(str(named[name]) for name in names) if named else tuple(map(str, values))

    def make(self, child: Bound, first: float = 0.0, created_s: float | None = None) -> None:
        """Make the series of *child* now, if it does not exist.

        Args:
            child: The handle; its cells and offset are set.
            first: The initial value of a gauge; other kinds begin at 0.
            created_s: Since when the series counts, in Unix seconds; by default since now.
        """
        created_s = time() if created_s is None else created_s
        for aggregator in self.aggregators():
            key = aggregator.identify(child.attributes)

            def change(aggregator: Aggregator = aggregator, key: bytes = key) -> None:
                aggregator.find(key, first, created_s)

            self._owner.worker.exclusively(change)
        self._teach(child)

    def store(self, child: Bound, value: float) -> None:
        """Record *value* unchecked (it may be infinite, negative or NaN), and set the cells of *child*."""
        aggregator = None if child._cells is None else self.aggregators()[0]
        with gil.alone():
            cells, offset = child._cells, child._offset
            if aggregator is not None and cells is not None:
                aggregator.store(cells, offset, value)
        if aggregator is None or cells is None:
            self._record_whole(value, child.attributes, None)
            self._teach(child)
            return
        if current_context():
            self._owner.offer_exemplar(aggregator, offset, value, child.attributes, None)

    def move_labels_to(self, owner: Owner) -> None:
        """Make the series again with the first record to another provider."""
        if self._has_children:
            owner.worker.on_open.append(weakly(self._make_children))

    def _make_children(self) -> None:
        for child in list(self._children.values()):
            self.make(child)
            if not self._has_series(child):
                self._forget_child(child)
