"""Slices as pictures, made when they are asked for and remembered while there is room."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

#: Bytes of pictures that are remembered.
MOST_BYTES = 96 * 2**20


class PictureCache:
    """Pictures that were made, the least lately used forgotten first.

    Args:
        most_bytes: of all pictures together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._known: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        """Return a picture by its key, made where it is not known."""
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
        made = make()
        with self._lock:
            if key not in self._known:
                self._known[key] = made
                self._bytes += len(made)
            while self._bytes > self._most and len(self._known) > 1:
                _, gone = self._known.popitem(last=False)
                self._bytes -= len(gone)
        return made


def etag_of(payload: bytes) -> str:
    """Return the entity tag of a picture."""
    return f'"{hashlib.sha256(payload).hexdigest()[:32]}"'
