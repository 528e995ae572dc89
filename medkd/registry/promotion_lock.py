"""One promotion of a name at a time: a file lock beside a local database, a lease in a tag of the registered model on a server.

**What the lease can guarantee.** MLflow has no compare-and-set. A promoter writes its token, waits :data:`SETTLE_S` and reads it back:
of several who write within that time the last one stays and the others see it. Its token changes whenever it shows that it is alive, and who
sees the same token for :data:`LEASE_S` takes the lease over, by a clock of its own: clocks of different machines are never compared. A holder
reads its token back before each move of an alias.

**What it cannot.** A write that reaches the server later than SETTLE_S after it was sent, or a holder that is stopped between reading its
token back and moving the alias for longer than LEASE_S, can meet another holder. Neither loses a verdict or an event, which are written under
names of their own; the alias is read back after it was moved, and who finds another version there says so.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from data_contracts import OutputError, RegistryError
from medkd.storage.run_lock import locked

#: Seconds after which a token that was written is read back, and after which one that never changed is nobody's.
SETTLE_S, LEASE_S = 1.0, 120.0
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
    until, seen, since = time.monotonic() + WAIT_S, "", time.monotonic()
    while time.monotonic() < until:
        held = read() or ""
        if held != seen:
            seen, since = held, time.monotonic()
        if not held or time.monotonic() - since > LEASE_S:
            write(token)
            time.sleep(SETTLE_S)
            if read() == token:
                return
        else:
            time.sleep(SETTLE_S / 4)
    raise _busy(f"the lease {seen[:8]} is held since {WAIT_S:.0f} s")


def _busy(why: str) -> RegistryError:
    return RegistryError(
        "PROMOTION_BUSY", f"expected no other promotion of this name, there is one ({why}); promote again when it has ended"
    )
