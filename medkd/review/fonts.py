"""The font with Chinese characters that this machine has: none comes with medkd."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

from data_contracts import MissingDependencyError


@functools.cache
def chinese_font() -> Path | None:
    """Return the file of a font with Chinese characters; None where fonts cannot be listed on this machine.

    Raises:
        MissingDependencyError: ``CHINESE_FONT_MISSING`` when there is none: what would be written is boxes.
    """
    listing = shutil.which("fc-list")
    if listing is None:
        return None
    found = subprocess.run([listing, ":lang=zh", "file"], capture_output=True, text=True, check=False).stdout
    files = sorted(line.strip().rstrip(":").strip() for line in found.splitlines() if line.strip())
    if not files:
        raise MissingDependencyError(
            "CHINESE_FONT_MISSING",
            "expected a font with Chinese characters, this machine has none; install fonts-wqy-microhei or fonts-noto-cjk",
        )
    return Path(files[0])
