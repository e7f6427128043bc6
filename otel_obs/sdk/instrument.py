"""What the synchronous instruments of the OpenTelemetry Metrics API have in common."""

from __future__ import annotations

from collections.abc import Sequence

from otel_obs.cells.layout import Scope
from otel_obs.sdk.aggregate import Translate
from otel_obs.sdk.bound import BoundT
from otel_obs.sdk.labels import Labelled
from otel_obs.sdk.owner import Owner
from otel_obs.sdk.recording import Recorder


class Instrument(Recorder, Labelled[BoundT]):
    """What the four have in common.

    Args:
        owner: The provider.
        name: As OpenTelemetry names it, lower case.
        unit: UCUM.
        description: One sentence.
        scope: The instrumentation scope of the meter.
        merge: A gauge's rule over workers.
        translate: Turns the attributes that are given into those of the exported series.
        limit: The most series; None takes the provider's.
        boundaries: A histogram's advised bucket bounds.
        label_names: The labels that `labels` takes, in order.
    """

    def __init__(
        self,
        owner: Owner,
        name: str,
        unit: str,
        description: str,
        scope: Scope,
        *,
        merge: str = "latest",
        translate: Translate | None = None,
        limit: int | None = None,
        boundaries: Sequence[float] | None = None,
        label_names: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.unit = unit
        self.description = description
        self.instrumentation_scope = scope
        self.merge = merge
        self.translate = translate
        self.limit = limit
        self.boundaries = boundaries
        self._init_recorder(owner)
        self._init_labels(label_names)

    def move_to(self, owner: Owner) -> None:
        """Record to another provider from now on."""
        super().move_to(owner)
        self.move_labels_to(owner)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"
