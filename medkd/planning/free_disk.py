"""How much disk is free where a folder will lie."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_disk(folder: Path) -> int:
    """Return the bytes that are free for this user where a folder lies or will: of the nearest folder above it that is there."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
