"""The result of a diagnosis: facts in sections, and problems with their remedies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Fact(NamedTuple):
    """One fact; `source` is where it was read."""

    name: str
    value: str
    source: str = ""


class Problem(NamedTuple):
    """Something that will not work as its user expects, and the remedy."""

    subject: str
    what: str
    remedy: str


@dataclass
class Diagnosis:
    """The facts about a command or a process, and its problems."""

    sections: dict[str, list[Fact]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def say(self, section: str, name: str, value: object, source: str = "") -> None:
        """Add a fact."""
        self.sections.setdefault(section, []).append(Fact(name, str(value), source))

    def warn(self, subject: str, what: str, remedy: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(subject, what, remedy))
