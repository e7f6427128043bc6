"""The series of a metric by their labels: look-up, creation and removal."""

from __future__ import annotations

import weakref
from _thread import RLock
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from prometheus_client import metrics as their_metrics

T = TypeVar("T", bound="LabelledMetric")

_OF_ONE_TEXT = frozenset((str, int, bool, type(None)))
"""Types whose equal values have equal texts. Floats are not among them: 0.0 equals -0.0."""

_SPELLINGS_PER_SERIES = 4
"""Bounds the look-up table: different arguments (`1`, `"1"`, by name) may mean the same series."""

_MISSING: Any = object()


class SeriesByLabels(dict[tuple[str, ...], Any]):
    """The series of a metric by the values of their labels; to delete an entry removes the series.

    Code written for `prometheus_client` does that: `metric._metrics.clear()`, `.pop(…)`, `del`.
    """

    def __init__(self, metric: LabelledMetric) -> None:
        super().__init__()
        self._metric = weakref.ref(metric)

    def keep(self, texts: tuple[str, ...], child: Any) -> None:
        """Add a series that the metric has made itself."""
        super().__setitem__(texts, child)

    def take(self, texts: tuple[str, ...]) -> Any:
        """Delete an entry without removing the series from the cells; None if there is none."""
        return super().pop(texts, None)

    def __setitem__(self, texts: tuple[str, ...], child: Any) -> None:
        metric = self._metric()
        if metric is not None:
            metric._let_in(child)
        self.keep(texts, child)

    def __delitem__(self, texts: tuple[str, ...]) -> None:
        if texts not in self:
            raise KeyError(texts)
        self._end([texts])

    def pop(self, texts: tuple[str, ...], default: Any = _MISSING) -> Any:
        """Remove a series and return it."""
        child = self.get(texts, default)
        if child is _MISSING:
            raise KeyError(texts)
        self._end([texts])
        return child

    def popitem(self) -> tuple[tuple[str, ...], Any]:
        """Remove the newest series and return it with its labels."""
        texts = next(reversed(self))
        return texts, self.pop(texts)

    def clear(self) -> None:
        """Remove every series."""
        self._end(list(self))

    def _end(self, every: list[tuple[str, ...]]) -> None:
        metric = self._metric()
        if metric is not None:
            metric._remove(every)


class LabelledMetric(their_metrics.MetricWrapperBase):
    """A metric with labels, or one of its series; the errors are those of `prometheus_client`.

    A metric of `prometheus_client` becomes one by assignment to its `__class__`, for which Python requires
    classes of compatible layout: this one derives from theirs.
    """

    _labelnames: tuple[str, ...]
    _labelvalues: tuple[str, ...]
    _series: SeriesByLabels
    _spellings: ClassVar[dict[Any, Any]] = {}
    """Series by the arguments of `labels`: strings as they are, others with their types. Series have none."""

    def _begin_labels(self) -> None:
        if self._labelnames:
            self._spellings = {}  # type: ignore[misc]
            self.forget_lock()

    if not TYPE_CHECKING:  # an attribute there

        @property
        def _metrics(self) -> SeriesByLabels:
            return self._series

        @_metrics.setter
        def _metrics(self, series: Mapping[tuple[str, ...], Any]) -> None:
            if "_series" in self.__dict__:
                self._remove(list(self._series))
            self._series = SeriesByLabels(self)
            for texts, child in series.items():
                self._series[texts] = child

    def forget_lock(self) -> None:
        """Make a new lock: in a child process, the thread that holds the old one may not exist."""
        if self._labelnames:
            self._lock: Any = RLock()

    @abstractmethod
    def _metric_init(self) -> None:
        """Initialise what this kind of metric needs."""

    @abstractmethod
    def _be_there(self) -> None:
        """Make the series in the cells, if this process has recorded anything."""

    @abstractmethod
    def _is_full(self) -> bool:
        """Whether the limit of series is reached."""

    @abstractmethod
    def _overflow(self: T) -> T:
        """The series that label sets beyond the limit share."""

    @abstractmethod
    def retire(self) -> None:
        """Remove the series from the cells."""

    @abstractmethod
    def _let_in(self, child: Any) -> None:
        """Turn a series of `prometheus_client` into one of this metric."""

    @abstractmethod
    def _end(self, labels: Mapping[str, str]) -> None:
        """Remove every worker's series with at least these labels, if the merge rule allows that."""

    def labels(self: T, *labelvalues: Any, **labelkwargs: Any) -> T:
        """The series with these labels, given in their declared order or by name.

        Raises:
            ValueError: The labels are not those that the metric declares.
        """
        if not (labelvalues and labelkwargs):
            for value in labelvalues or labelkwargs.values():
                if type(value) is not str:
                    break
            else:
                known: T | None = self._spellings.get(
                    (*labelkwargs, *labelkwargs.values(), None) if labelkwargs else labelvalues
                )
                if known is not None:
                    return known
        return self._find(labelvalues, labelkwargs)

    def _find(self: T, values: tuple[Any, ...], named: dict[str, Any]) -> T:
        """Find or make the series for arguments that are new, or that are not all strings."""
        kinds = tuple(map(type, values or named.values()))
        spelling: Any = (*named, *named.values(), None) if named else values
        if kinds.count(str) < len(kinds):
            spelling = (kinds, spelling)
        is_safe = _OF_ONE_TEXT.issuperset(kinds) and not (values and named)
        known: T | None = self._spellings.get(spelling) if is_safe else None
        if known is not None:
            return known
        texts = self._texts(values, named)
        with self._lock:
            child: T | None = self._series.get(texts)
            is_new = child is None
            if child is None:
                if self._is_full():
                    return self._overflow()
                child = self._child(texts)
                self._series.keep(texts, child)
            if is_safe and len(self._spellings) < _SPELLINGS_PER_SERIES * len(self._series):
                self._spellings[spelling] = child
        # Outside the metric's lock: this may wait for the worker's lock.
        if is_new:
            child._be_there()
        return child

    def _texts(self, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[str, ...]:
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")
        if self._labelvalues:
            labels = dict(zip(self._labelnames, self._labelvalues, strict=True))
            raise ValueError(f"{self} already has labels set ({labels}); can not chain calls to .labels()")
        if values and named:
            raise ValueError("Can't pass both *args and **kwargs")
        if named:
            if sorted(named) != sorted(self._labelnames):
                raise ValueError("Incorrect label names")
            return tuple(str(named[name]) for name in self._labelnames)
        if len(values) != len(self._labelnames):
            raise ValueError("Incorrect label count")
        return tuple(str(value) for value in values)

    def _child(self: T, texts: tuple[str, ...]) -> T:
        """Make a series: a copy of the metric, with labels and numbers of its own. No constructor runs."""
        child = object.__new__(type(self))
        for name, value in self.__dict__.items():
            if name not in ("_lock", "_series", "_spellings"):
                setattr(child, name, value)
        child._labelvalues = texts
        child._metric_init()
        return child

    def remove(self, *labelvalues: Any) -> None:
        """Drop this worker's series with these labels; of a "mostrecent" gauge, every worker's."""
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")
        if len(labelvalues) != len(self._labelnames):
            raise ValueError(f"Incorrect label count (expected {len(self._labelnames)}, got {labelvalues})")
        texts = tuple(str(value) for value in labelvalues)
        self._remove([texts])
        self._end(dict(zip(self._labelnames, texts, strict=True)))

    def remove_by_labels(self, labels: dict[str, str]) -> None:
        """Drop every series with at least these labels, of this worker or as `remove` says."""
        if not self._labelnames:
            raise ValueError(f"No label names were set when constructing {self}")
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        unknown = [name for name in labels if name not in self._labelnames]
        if unknown:
            raise ValueError(f"Unknown label names: {unknown}; expected {self._labelnames}")
        wanted = {self._labelnames.index(name): str(value) for name, value in labels.items()}
        if wanted:
            self._remove(
                [
                    texts
                    for texts in list(self._series)
                    if all(texts[at] == text for at, text in wanted.items())
                ]
            )
            self._end({self._labelnames[at]: text for at, text in wanted.items()})

    def clear(self) -> None:
        """Drop every series with labels, of this worker or as `remove` says."""
        if self._labelnames:
            self._remove(list(self._series))
            self._end({})

    def _remove(self, keys: Iterable[tuple[str, ...]]) -> None:
        with self._lock:
            removed = [child for texts in keys if (child := self._series.take(texts)) is not None]
            if removed:
                self._spellings = {}  # type: ignore[misc]
        # Outside the metric's lock, as in `_find`.
        for child in removed:
            child.retire()
