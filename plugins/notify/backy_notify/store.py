"""The facts that survive a restart: messages to deliver, and conditions that were told.

One SQLite database in the listener's own directory. Every change is one transaction, on disk when
the call returns.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from backy_notify.alerts import Alert

MOST_MESSAGES = 1000
"""Kept for one target; the oldest makes room."""
_SCHEMA = """
    create table if not exists told (
        pool text, name text, subject text, since text, primary key (pool, name, subject)
    );
    create table if not exists message (
        id integer primary key autoincrement,
        target text, made_at text, type text, title text, body text
    );
"""
_FILE = "notify.db"
_log = logging.getLogger(__name__)

Fact = tuple[str, str]
"""Name and subject of what was told of a pool."""


class Message(NamedTuple):
    """An alert that waits for one target."""

    id: int
    made_at: datetime
    alert: Alert


class Store:
    """For any thread."""

    def __init__(self, directory: Path) -> None:
        """Raises :class:`OSError` or :class:`sqlite3.Error` if it cannot be used."""
        directory.mkdir(0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = _opened(directory / _FILE)

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def facts(self, pool: str) -> dict[Fact, datetime]:
        """The facts that were told of a pool, with the moment that each began."""
        query = "select name, subject, since from told where pool = ?"
        with self._lock:
            rows = self._database.execute(query, (pool,)).fetchall()
        return {(name, subject): datetime.fromisoformat(since) for name, subject, since in rows}

    def update(
        self,
        pool: str,
        *,
        add: Mapping[Fact, datetime] | None = None,
        drop: Iterable[Fact] = (),
        alert: Alert | None = None,
        made_at: datetime | None = None,
        targets: Iterable[str] = (),
    ) -> None:
        """Change what was told of a pool, and have ``alert`` delivered to ``targets``."""
        with self._transaction() as database:
            database.executemany(
                "delete from told where pool = ? and name = ? and subject = ?",
                [(pool, *fact) for fact in drop],
            )
            database.executemany(
                "insert or replace into told values (?, ?, ?, ?)",
                [(pool, *fact, since.isoformat()) for fact, since in (add or {}).items()],
            )
            if alert is not None and made_at is not None:
                for target in targets:
                    self._enqueue(database, target, made_at, alert)

    def forget(self, pool: str) -> None:
        with self._transaction() as database:
            database.execute("delete from told where pool = ?", (pool,))

    def next(self, target: str) -> Message | None:
        """The oldest message for a target."""
        columns = "id, made_at, type, title, body"
        query = f"select {columns} from message where target = ? order by id limit 1"  # noqa: S608
        with self._lock:
            row = self._database.execute(query, (target,)).fetchone()
        if row is None:
            return None
        number, made_at, *alert = row
        return Message(number, datetime.fromisoformat(made_at), Alert(*alert))

    def remove(self, message: Message) -> None:
        with self._transaction() as database:
            database.execute("delete from message where id = ?", (message.id,))

    def keep_only(self, targets: Iterable[str]) -> int:
        """Drop messages for other targets, which are no longer set; return how many."""
        names = tuple(targets)
        places = ", ".join("?" * len(names))
        with self._transaction() as database:
            query = f"delete from message where target not in ({places})"  # noqa: S608 (places only)
            return database.execute(query, names).rowcount

    def _enqueue(
        self, database: sqlite3.Connection, target: str, made_at: datetime, alert: Alert
    ) -> None:
        database.execute(
            "insert into message (target, made_at, type, title, body) values (?, ?, ?, ?, ?)",
            (target, made_at.isoformat(), *alert),
        )
        surplus = database.execute(
            "delete from message where target = ? and id not in "
            "(select id from message where target = ? order by id desc limit ?)",
            (target, target, MOST_MESSAGES),
        ).rowcount
        if surplus:
            _log.warning("More than %d messages wait: the oldest is dropped", MOST_MESSAGES)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._database:
            yield self._database


def _opened(path: Path) -> sqlite3.Connection:
    """The database; a damaged one is put aside, and an empty one takes its place."""
    try:
        return _connected(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # cannot be opened: a full disk, say
            raise
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        _log.error("%s is damaged (%s): it is kept as %s", path, error, aside.name)
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    path.touch(0o600)
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        # Durable by name: a deletion of the journal that a power cut takes back repeats a message.
        database.execute("pragma synchronous = EXTRA")
        database.executescript(_SCHEMA)
        (state,) = database.execute("pragma quick_check").fetchone()
        if state != "ok":
            raise sqlite3.DatabaseError(state)
    except BaseException:
        database.close()
        raise
    _sync(path.parent)
    return database


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
