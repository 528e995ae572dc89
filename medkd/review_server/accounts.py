"""Accounts: who may read, and who may see what readers did. Passwords are kept as argon2id hashes only."""

from __future__ import annotations

import re
import secrets
import sqlite3
from dataclasses import dataclass
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from data_contracts import DataError
from medkd.review_server.database import Database

Role = Literal["reader", "administrator"]
ROLES: tuple[Role, ...] = ("reader", "administrator")
LEAST_PASSWORD, MOST_PASSWORD = 10, 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
#: Argon2id by the library's defaults (RFC 9106, low memory): some 50 ms and 64 MiB a password.
HASHER = PasswordHasher()


@dataclass(frozen=True)
class Account:
    """Who is logged in.

    Attributes:
        name: at login.
        role: a reader reads and signs; an administrator also sees progress, reliance and agreement.
        title: what records say of the reviewer, such as ``radiologist``.
        reviewer_key: the pseudonym under which records are kept; it is drawn, and says nothing of the name.
    """

    name: str
    role: Role
    title: str
    reviewer_key: str


class Accounts:
    """The accounts of a server."""

    def __init__(self, database: Database) -> None:
        self._database, self._hasher = database, HASHER
        # What a password is compared with where there is no such account, so that both take as long.
        self._nobody = self._hasher.hash(secrets.token_hex(16))

    def add(self, name: str, password: str | None, *, role: str = "reader", title: str = "radiologist") -> Account:
        """Add an account and return it; without a password it can only come by a proxy that has asked who it is.

        Raises:
            DataError: ``ACCOUNT_NAME``, ``ACCOUNT_ROLE``, ``ACCOUNT_TITLE``, ``ACCOUNT_PASSWORD`` or ``ACCOUNT_EXISTS``.
        """
        if not _NAME.fullmatch(name):
            raise DataError("ACCOUNT_NAME", f"expected a name of 1 to 64 letters, digits and . _ @ -, got {name[:80]!r}")
        if role not in ROLES:
            raise DataError("ACCOUNT_ROLE", f"expected one of {', '.join(ROLES)}, got {role!r}")
        if not 0 < len(title) <= 80:
            raise DataError("ACCOUNT_TITLE", f"expected 1 to 80 characters, such as radiologist, got {len(title)}")
        hashed = "" if password is None else self._hasher.hash(_checked(password, name))
        account = Account(name, ROLES[ROLES.index(role)], title, f"reviewer-{secrets.token_hex(6)}")
        try:
            with self._database.connect() as connection:
                connection.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?)", (name, account.role, title, account.reviewer_key, hashed))
        except sqlite3.IntegrityError as error:
            raise DataError("ACCOUNT_EXISTS", f"expected a name that no account has, got {name}; remove that account first") from error
        return account

    def remove(self, name: str) -> None:
        """Remove an account and its sessions; what it signed stays in the log under its pseudonym.

        Raises:
            DataError: ``ACCOUNT_UNKNOWN``.
        """
        with self._database.connect() as connection:
            found = connection.execute("DELETE FROM account WHERE name = ?", (name,)).rowcount
            connection.execute("DELETE FROM session WHERE name = ?", (name,))
        if not found:
            known = ", ".join(one.name for one in self.all()) or "none"
            raise DataError("ACCOUNT_UNKNOWN", f"expected the name of an account ({known}), got {name[:80]!r}")

    def all(self) -> tuple[Account, ...]:
        """Return all accounts by name."""
        with self._database.connect() as connection:
            rows = connection.execute("SELECT * FROM account ORDER BY name").fetchall()
        return tuple(_account(row) for row in rows)

    def find(self, name: str) -> Account | None:
        """Return an account by its name."""
        row = self._row(name)
        return None if row is None else _account(row)

    def verify(self, name: str, password: str) -> Account | None:
        """Return the account of a name and its password; None of any other, after as long a time."""
        row = self._row(name)
        hashed = self._nobody if row is None or not row["password"] else str(row["password"])
        try:
            self._hasher.verify(hashed, password[:MOST_PASSWORD])
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return None
        return None if row is None or not row["password"] else _account(row)

    def _row(self, name: str) -> sqlite3.Row | None:
        with self._database.connect() as connection:
            found: sqlite3.Row | None = connection.execute("SELECT * FROM account WHERE name = ?", (name,)).fetchone()
        return found


def _checked(password: str, name: str) -> str:
    """Return a password that is long enough and not the name; its length is all that a sentence says of it."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD or password.lower() == name.lower():
        raise DataError(
            "ACCOUNT_PASSWORD", f"expected {LEAST_PASSWORD} to {MOST_PASSWORD} characters that are not the name, got {len(password)}"
        )
    return password


def _account(row: sqlite3.Row) -> Account:
    return Account(row["name"], ROLES[ROLES.index(row["role"])], row["title"], row["reviewer_key"])
