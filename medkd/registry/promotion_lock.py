"""One promotion of a name at a time: a file lock beside a local database, a lease in a tag of the registered model on a server.

**What the lease guarantees, from any number of machines.** MLflow has no compare-and-set, so this is mutual exclusion by time (Fischer's algorithm,
Lamport 1987). A promoter reads that nobody holds the lease, writes its token, waits :data:`SETTLE_S` and reads it back: of several who write the
last one stays and the others see it. That holds as long as reading and writing took less than SETTLE_S together, which each promoter measures; one
that took longer takes its token away and begins anew. A token changes whenever its holder shows that it is alive, and who sees the same token for
:data:`LEASE_S` takes the lease over. Every duration is measured by one clock: clocks of different machines are never compared. A holder reads its
token back before each move of an alias.

**What it cannot.** A holder that is stopped between reading its token back and moving the alias, for longer than LEASE_S, or for longer than SETTLE_S
while a late writer takes its token away, can meet another holder. Neither loses a verdict or an event, which are written under names of their own;
the alias is read back after it was moved, and who finds another version there says so. A server on which reading and writing a tag takes longer than
SETTLE_S lets nobody promote (``PROMOTION_BUSY``).
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from data_contracts import OutputError, RegistryError
from medkd.storage.run_lock import locked

#: Seconds after which a token that was written is read back, which reading and writing it must not exceed, and after which one that never
#: changed is nobody's. All promoters of a server must have the same.
SETTLE_S, LEASE_S = 3.0, 120.0
#: Seconds that a promoter waits for another one.
WAIT_S = 600.0
#: Raises where the lock is no longer held; asked before each move of an alias.
RequireHeld = Callable[[], None]


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[RequireHeld]:
    """Hold a lock file beside a local database; the system takes it back when its holder ends, however it ends.

    Raises:
        RegistryError: ``PROMOTION_BUSY`` when another process holds it for longer than :data:`WAIT_S`.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path, wait_s=WAIT_S))
        except OutputError as error:
            raise _busy(str(error)) from error
        yield lambda: None


@contextlib.contextmanager
def tag_lock(read: Callable[[], str | None], write: Callable[[str | None], None]) -> Iterator[RequireHeld]:
    """Hold a lease that lies in one text which all promoters can read and write.

    Args:
        read: returns the text; None where there is none.
        write: sets it, or removes it with None.

    Raises:
        RegistryError: ``PROMOTION_BUSY`` when others hold it for longer than :data:`WAIT_S`; ``PROMOTION_LOCK_LOST`` (of what is yielded)
            when another promoter has taken it over.
    """
    token, renewals = uuid.uuid4().hex, 0

    def shown() -> str:
        return f"{token}#{renewals}"

    def require_held() -> None:
        """Refuse to go on with a lease that somebody else has taken over, and renew it."""
        nonlocal renewals
        if read() != shown():
            raise RegistryError(
                "PROMOTION_LOCK_LOST", f"expected the lease {token[:8]} to be held, {read() or 'nobody'} has it; promote again"
            )
        renewals += 1
        write(shown())

    _acquire(read, write, shown())
    try:
        yield require_held
    finally:
        if read() == shown():
            write(None)


def _acquire(read: Callable[[], str | None], write: Callable[[str | None], None], token: str) -> None:
    until, seen, since, slow = time.monotonic() + WAIT_S, "", time.monotonic(), 0
    while time.monotonic() < until:
        asked = time.monotonic()
        held = read() or ""
        if held != seen:
            seen, since = held, time.monotonic()
        if not held or time.monotonic() - since > LEASE_S:
            write(token)
            took = time.monotonic() - asked
            if took < SETTLE_S:
                time.sleep(SETTLE_S)
                if read() == token:
                    return
            else:
                # By now another one may have read its own token back.
                slow += 1
                if read() == token:
                    write(None)
        # Not all at one moment again.
        time.sleep(SETTLE_S * random.uniform(0.1, 0.4))
    why = f"its server took longer than {SETTLE_S:g} s to read and write a tag, {slow} times" if slow else f"the lease {seen[:8]} is held"
    raise _busy(f"{why}, for {WAIT_S:.0f} s")


def _busy(why: str) -> RegistryError:
    return RegistryError(
        "PROMOTION_BUSY", f"expected no other promotion of this name, there is one ({why}); promote again when it has ended"
    )
