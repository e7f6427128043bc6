"""What a diagnosis says: facts in sections, and what is to be changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Fact(NamedTuple):
    """One thing that was found out; `source` says where from."""

    name: str
    value: str
    source: str = ""


class Problem(NamedTuple):
    """What does not work as its user will expect, and what to change."""

    subject: str
    what: str
    remedy: str


@dataclass
class Diagnosis:
    """All that is known of a command or a process."""

    sections: dict[str, list[Fact]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def say(self, section: str, name: str, value: object, source: str = "") -> None:
        """Add a fact."""
        self.sections.setdefault(section, []).append(Fact(name, str(value), source))

    def warn(self, subject: str, what: str, remedy: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(subject, what, remedy))
