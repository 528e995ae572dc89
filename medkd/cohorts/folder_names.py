"""Names that tables, lists and recipes give to files: never of a file outside their folder, and the same with and without a suffix."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from data_contracts import DataError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VOLUME_SUFFIXES = (".nii.gz", ".nii")


def identifier_of(name: str) -> str:
    """Return what a file is called without its folder and the suffix of a picture or volume; other dots are part of the name (UIDs)."""
    plain = PurePosixPath(name.strip().replace("\\", "/")).name
    suffix = next((suffix for suffix in (*VOLUME_SUFFIXES, *PICTURE_SUFFIXES) if plain.lower().endswith(suffix)), "")
    return plain[: len(plain) - len(suffix)] or plain


def require_inside(root: Path, name: str, where: str, *, code: str = "PATH_ESCAPE") -> Path:
    """Return the path of a file or folder that a table, list or recipe names, which must lie in ``root``; it need not exist.

    Args:
        root: the folder.
        name: as it is written.
        where: what a sentence calls the place that names it, for example ``cases.csv, line 3``.
        code: of the error.

    Raises:
        DataError: ``code`` for absolute names, for ``..``, and for links that lead out of the folder.
    """
    slashes = str(name).replace("\\", "/")
    why = None
    if "\0" in slashes:
        why = "holds a character that no file name has"
    elif slashes.startswith(("/", "~")) or PureWindowsPath(slashes).drive:
        why = "is absolute"
    elif ".." in slashes.split("/"):
        why = "leads out of it"
    else:
        # Links are followed on both sides: the data root may be one itself.
        real, top = os.path.realpath(root / slashes), os.path.realpath(root)
        # With the separator: /data-of-others begins with /data and is not in it.
        if real != top and not real.startswith(top.rstrip(os.sep) + os.sep):
            why = "is a link that leads out of it"
    if why is not None:
        shown = slashes if len(slashes) <= 100 else f"{slashes[:100]}…"
        raise DataError(
            code,
            f"expected names inside the folder {root.name or root} in {where}, got {shown!r}, which {why}; copy the file into it",
        )
    return root / slashes


def files_by_identifier(folder: Path, suffixes: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the files in a folder that have one of the suffixes (in capitals too), by identifier, each list in order."""
    found: dict[str, list[str]] = {}
    wanted = tuple(suffixes)
    if not folder.is_dir():
        return found
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(wanted) and not path.name.startswith(".") and (path.is_file() or path.is_symlink()):
            found.setdefault(identifier_of(path.name), []).append(path.name)
    return found


def few(names: Iterable[str], most: int = 3) -> str:
    """Return the first names as text, and how many more there are."""
    listed = [str(name) for name in names]
    shown = ", ".join(repr(name if len(name) <= 60 else f"{name[:60]}…") for name in listed[:most]) or "none"
    return shown if len(listed) <= most else f"{shown} and {len(listed) - most} more"
