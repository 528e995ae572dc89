"""What the server remembers beside the feedback log: accounts, sessions, failed logins, settings. No judgement is ever kept here."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_contracts import StoreError
from data_contracts.private import private_folder, privately

NAME = "review.sqlite3"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS account (
  name TEXT PRIMARY KEY, role TEXT NOT NULL, title TEXT NOT NULL, reviewer_key TEXT NOT NULL UNIQUE, password TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS session (
  digest TEXT PRIMARY KEY, name TEXT NOT NULL, csrf TEXT NOT NULL, seen REAL NOT NULL, began REAL NOT NULL);
CREATE TABLE IF NOT EXISTS failure (subject TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS failure_subject ON failure (subject, at);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Database:
    """A SQLite file that only its owner can read; a connection for each thread, readers never wait for writers.

    Args:
        folder: of the server's data; it is made where there is none.

    Raises:
        StoreError: ``REVIEW_DATABASE`` when the file is no database.
    """

    def __init__(self, folder: Path) -> None:
        self.path = private_folder(folder) / NAME
        self._local = threading.local()
        try:
            with privately(), self.connect() as connection:
                connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise StoreError(
                "REVIEW_DATABASE", f"expected the database of a review server at {self.path}, it cannot be used: {error}"
            ) from error

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection within a transaction: kept when the block ends, undone when it raises."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(self.path, timeout=30)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            self._local.connection = connection
        with connection:
            yield connection

    def setting(self, name: str, default: str = "") -> str:
        """Return a setting."""
        with self.connect() as connection:
            row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row["value"])

    def set(self, name: str, value: str) -> None:
        """Keep a setting."""
        with self.connect() as connection:
            connection.execute("INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value))

    def secret(self, name: str) -> bytes:
        """Return a secret of 32 bytes that is drawn when it is first asked for."""
        with self.connect() as connection:
            connection.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (f"secret.{name}", secrets.token_hex(32)))
        return bytes.fromhex(self.setting(f"secret.{name}"))

    @property
    def round(self) -> int:
        """Return the round of reading that is open, from 1."""
        return int(self.setting("round", "1"))

    def begin_round(self) -> int:
        """Begin the next round and return its number: every study is unread again."""
        with self.connect() as connection:
            connection.execute(
                "INSERT INTO setting VALUES ('round', '2') ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)"
            )
        return self.round
