"""The notes that agents read and the briefs that they write, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from otel_obs.catalog import database

DEFAULT_URL = "sqlite:///sparklio.db"


class Base(DeclarativeBase):
    """All tables."""


class Note(Base):
    """What somebody has noted about a topic."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(index=True)
    text: Mapped[str]


class Brief(Base):
    """What a workflow has written; each title is there once."""

    __tablename__ = "briefs"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    text: Mapped[str]
    words: Mapped[int]


class TitleTakenError(ValueError):
    """There is a brief of that title."""


class Database:
    """Notes and briefs; every query is counted, and so are the connections of the pool."""

    def __init__(self, url: str = DEFAULT_URL) -> None:
        self._engine = create_engine(url)
        database.observe_engine(self._engine)

    def create_tables(self) -> None:
        """Create what is missing; several workers may do so at once."""
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":  # its IF NOT EXISTS is not for two at a time
                connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
            for table in Base.metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def add_notes(self, topic: str, texts: Iterable[str]) -> int:
        """Keep notes; how many there are of that topic now."""
        with Session(self._engine) as session:
            session.add_all(Note(topic=topic, text=note) for note in texts)
            session.commit()
            return session.scalars(select(func.count()).where(Note.topic == topic)).one()

    def find_notes(self, topic: str) -> Sequence[str]:
        """The notes about a topic, in the order in which they came."""
        with Session(self._engine) as session:
            return session.scalars(select(Note.text).where(Note.topic == topic).order_by(Note.id)).all()

    def add_brief(self, title: str, body: str) -> int:
        """Keep a brief; its number.

        Raises:
            TitleTakenError: There is one of that title.
        """
        with Session(self._engine) as session:
            brief = Brief(title=title, text=body, words=len(body.split()))
            session.add(brief)
            try:
                session.commit()
            except IntegrityError:
                raise TitleTakenError(f"there is a brief {title!r} already; give another title") from None
            return brief.id

    def find_brief(self, number: int) -> Brief | None:
        """A brief by its number."""
        with Session(self._engine) as session:
            return session.get(Brief, number)
