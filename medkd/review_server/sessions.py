"""Sessions, kept by the server: the browser holds a random number, the database its digest. Logins that fail too often are locked out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from data_contracts import DataError
from medkd.review_server.accounts import Account, Accounts
from medkd.review_server.database import Database

#: A session ends when nothing was asked for so long, or after so long in all; seconds.
IDLE_S, LONGEST_S = 2 * 3600.0, 12 * 3600.0
#: So many failed logins of one name, or from one address, within the window lock it out until the oldest of them is older than the window.
MOST_FAILURES, MOST_OF_ADDRESS, WINDOW_S = 5, 30, 15 * 60.0
#: How exactly "last seen" is kept: not every slice writes to the database.
_SEEN_S = 60.0


@dataclass(frozen=True)
class Session:
    """A login that is still good: whose it is, and the token that its forms carry."""

    account: Account
    csrf: str


class Sessions:
    """The sessions of a server.

    Args:
        database: where they are kept.
        accounts: who may log in.
        clock: seconds since 1970.
    """

    def __init__(self, database: Database, accounts: Accounts, clock: Callable[[], float] = time.time) -> None:
        self._database, self._accounts, self._clock = database, accounts, clock
        self._secret = database.secret("csrf")

    def log_in(self, name: str, password: str, address: str) -> str:
        """Return the number of a new session.

        Args:
            name: of the account.
            password: of the account.
            address: of the browser; many failures from one lock it out whatever names were tried.

        Raises:
            DataError: ``LOGIN_LOCKED`` naming the seconds until the next try, ``LOGIN_FAILED`` without saying which of the two was wrong.
        """
        subjects = {f"name {name[:64]}": MOST_FAILURES, f"address {address}": MOST_OF_ADDRESS}
        wait = max(self._wait(subject, most) for subject, most in subjects.items())
        if wait > 0:
            raise DataError(
                "LOGIN_LOCKED", f"expected at most {MOST_FAILURES} failed logins, got more; try again in {round(wait) + 1} seconds"
            )
        account = self._accounts.verify(name, password)
        if account is None:
            with self._database.connect() as connection:
                now = self._clock()
                connection.execute("DELETE FROM failure WHERE at < ?", (now - WINDOW_S,))
                connection.executemany("INSERT INTO failure VALUES (?, ?)", [(subject, now) for subject in subjects])
            raise DataError(
                "LOGIN_FAILED", f"expected the name and the password of an account, got a pair that is none ({len(name)} characters)"
            )
        with self._database.connect() as connection:
            connection.execute("DELETE FROM failure WHERE subject = ?", (f"name {name[:64]}",))
        return self._open(account)

    def _open(self, account: Account) -> str:
        number, now = secrets.token_urlsafe(32), self._clock()
        with self._database.connect() as connection:
            connection.execute("DELETE FROM session WHERE seen < ? OR began < ?", (now - IDLE_S, now - LONGEST_S))
            connection.execute(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?)", (_digest(number), account.name, secrets.token_urlsafe(32), now, now)
            )
        return number

    def find(self, number: str | None) -> Session | None:
        """Return the session of a number; None where there is none, or it has ended, or its account was removed."""
        if not number:
            return None
        now = self._clock()
        with self._database.connect() as connection:
            row = connection.execute("SELECT * FROM session WHERE digest = ?", (_digest(number),)).fetchone()
            if row is None or row["seen"] < now - IDLE_S or row["began"] < now - LONGEST_S:
                return None
            if row["seen"] < now - _SEEN_S:
                connection.execute("UPDATE session SET seen = ? WHERE digest = ?", (now, row["digest"]))
        account = self._accounts.find(row["name"])
        return None if account is None else Session(account, row["csrf"])

    def by_proxy(self, name: str) -> Session | None:
        """Return the session of somebody whom a trusted proxy names; its token is made from the name, since there is nothing to keep."""
        account = self._accounts.find(name)
        return None if account is None else Session(account, self.token(f"proxy {name}"))

    def log_out(self, number: str | None) -> None:
        """End a session."""
        if number:
            with self._database.connect() as connection:
                connection.execute("DELETE FROM session WHERE digest = ?", (_digest(number),))

    def token(self, subject: str) -> str:
        """Return the token of whoever has no session of ours: made from what the browser holds."""
        return hmac.new(self._secret, subject.encode(), hashlib.sha256).hexdigest()

    def _wait(self, subject: str, most: int) -> float:
        now = self._clock()
        with self._database.connect() as connection:
            rows = connection.execute(
                "SELECT at FROM failure WHERE subject = ? AND at > ? ORDER BY at DESC LIMIT ?", (subject, now - WINDOW_S, most)
            ).fetchall()
        return float(rows[-1]["at"] + WINDOW_S - now) if len(rows) >= most else 0.0


def _digest(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()
