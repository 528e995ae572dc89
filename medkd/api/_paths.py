"""What names a file or a folder in the Python API."""

from __future__ import annotations

import os

PathLike = str | os.PathLike[str]
