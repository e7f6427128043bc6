"""What a text exposition says, as values to compare."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families


class Samples(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Every sample of an exposition, by name and labels."""

    def value(self, name: str, **labels: str) -> float:
        """The value of the one sample with exactly these labels.

        Raises:
            KeyError: There is none; the message lists what there is of that name.
        """
        key = name, frozenset(labels.items())
        if key not in self:
            raise KeyError(f"{name}{labels} is not exposed; of that name there is {self.labels(name)}")
        return self[key]

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """The labels of every sample of that name."""
        return [dict(labels) for found, labels in self if found == name]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name that have at least these labels."""
        wanted = frozenset(labels.items())
        return sum(value for (found, have), value in self.items() if found == name and wanted <= have)

    def bounds(self, histogram: str, **labels: str) -> list[str]:
        """The `le` of every bucket of one histogram series, as written, in the order of the exposition."""
        wanted = labels.items()
        series = (have for have in self.labels(f"{histogram}_bucket") if wanted <= have.items())
        return [have["le"] for have in series if have.keys() == {*labels, "le"}]


def parse_samples(text: str) -> Samples:
    """Read a text exposition.

    Raises:
        AssertionError: A sample is there twice.
    """
    samples = Samples()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{sample.name}{sample.labels} is exposed twice"
            samples[key] = sample.value
    return samples
