"""Dialogues in a SQLite file, so that any worker goes on with any dialogue."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class UnknownSessionError(LookupError):
    """There is no such dialogue, or it has ended."""


class Session(NamedTuple):
    """A dialogue that goes on: what the user has asked, and the evidence so far."""

    id: str
    category: str
    questions: list[str]
    evidence: list[str]


class Sessions:
    """Every dialogue that goes on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._connect() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS sessions (id PRIMARY KEY, category, questions, evidence)"
            )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._file, timeout=10)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def begin(self, category: str) -> Session:
        """Begin a dialogue."""
        session = Session(uuid.uuid4().hex, category, [], [])
        with self._connect() as connection:
            connection.execute("INSERT INTO sessions VALUES (?, ?, '[]', '[]')", (session.id, category))
        return session

    def find(self, session_id: str) -> Session:
        """A dialogue as it is now.

        Raises:
            UnknownSessionError: There is none.
        """
        with self._connect() as connection:
            row = connection.execute("SELECT * FROM sessions WHERE id = ?", (session_id,)).fetchone()
        if row is None:
            raise UnknownSessionError(f"there is no session {session_id!r}; begin one with POST /sessions")
        return Session(row[0], row[1], json.loads(row[2]), json.loads(row[3]))

    def save(self, session: Session) -> None:
        """Keep a dialogue as it is now."""
        with self._connect() as connection:
            connection.execute(
                "UPDATE sessions SET questions = ?, evidence = ? WHERE id = ?",
                (json.dumps(session.questions), json.dumps(session.evidence), session.id),
            )

    def end(self, session_id: str) -> None:
        """Forget a dialogue."""
        with self._connect() as connection:
            connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
