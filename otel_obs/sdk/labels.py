"""The `.labels(…).inc()` manner of recording, beside OpenTelemetry's `.add(…, {…})`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from otel_obs.errors import DeclarationError, undeclared_attributes
from otel_obs.sdk.recording import Bound

BoundT = TypeVar("BoundT", bound=Bound)


class Labelled(Generic[BoundT]):
    """An instrument whose series are chosen with `labels`.

    `label_names` are the labels that the instrument declares, in the order in which `labels` takes
    their values; an instrument that declares none takes its labels by keyword only.
    """

    name: str
    label_names: tuple[str, ...]

    def _init_labels(self, names: Sequence[str]) -> None:
        self.label_names = tuple(names)
        self._children: dict[tuple[str, ...], BoundT] = {}

    def bind(self, attributes: Mapping[str, Any] | None = None) -> BoundT:
        """Resolve *attributes* once."""
        raise NotImplementedError

    def labels(self, *values: object, **named: object) -> BoundT:
        """The series with these labels, given in their declared order or by name.

        Raises:
            DeclarationError: The labels are not those that the instrument declares.
        """
        try:
            if not named:
                return self._children[values]  # type: ignore[index]
        except (KeyError, TypeError):
            pass
        return self._find_child(values, named)

    def _find_child(self, values: tuple[object, ...], named: dict[str, object]) -> BoundT:
        names = self.label_names or tuple(named)
        if values and named:
            raise DeclarationError(
                self.name, "got labels both by position and by name", "give one or the other"
            )
        if named and set(named) != set(names):
            raise undeclared_attributes(self.name, named, names)
        if not named and len(values) != len(names):
            raise DeclarationError(self.name, f"got {len(values)} label values; it declares {list(names)}")
        texts = tuple(str(named[name]) for name in names) if named else tuple(map(str, values))
        if not self.label_names:
            return self.bind(dict(zip(names, texts, strict=True)))
        child = self._children.get(texts)
        if child is None:
            child = self._children[texts] = self.bind(dict(zip(names, texts, strict=True)))
        return child
