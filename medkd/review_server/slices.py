"""Slices as pictures, made when they are asked for and remembered while there is room."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

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


class RecentValues(Generic[T]):
    """The last values that were made, by key.

    Args:
        most: that are remembered.
    """

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._known: OrderedDict[tuple[object, ...], T] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        """Return a value by its key, made where it is not known."""
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        made = make()
        with self._lock:
            self._known[key] = made
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return made


def etag_of(payload: bytes) -> str:
    """Return the entity tag of a picture."""
    return f'"{hashlib.sha256(payload).hexdigest()[:32]}"'
