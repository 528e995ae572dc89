"""What may be read as a source: it is there, lies apart from what is written, and is not something that we made of another source."""

from __future__ import annotations

import os
from pathlib import Path

from data_contracts import SourceError
from medkd.storage.output import QUARANTINE, STORE, STUDY_STORE, kind_of, require_apart, require_source


def check_source(source: Path, *outs: Path) -> None:
    """Refuse a source before anything is made or changed.

    A store of ours holds quarantined originals beside de-identified volumes: read again, patients would be mixed and counted twice.

    Raises:
        SourceError: ``SOURCE_MISSING``, ``SOURCE_UNREADABLE``, or ``SOURCE_IS_STORE`` when it is, holds, or lies in a store.
        OutputError: ``OUT_OVERLAPS``.
    """
    require_source(source)
    for out in outs:
        require_apart(source, out)
    directory = source.name.upper() == "DICOMDIR"
    # By its real place: a link to a folder in a store would have another path and the same files.
    root = Path(os.path.realpath(source if source.is_dir() else source.parent))
    above = next((place for place in (root, *root.parents) if _made(place)), None)
    if above is not None:
        what = "is" if above == root and source.is_dir() else f"lies in {above},"
        advice = "name the folder that it was made from"
        raise SourceError("SOURCE_IS_STORE", f"expected DICOM as it came, {source} {what} a {kind_of(above)} of medkd; {advice}")
    below = next((place for place, _, _ in os.walk(root) if _made(Path(place))), None) if source.is_dir() or directory else None
    if below is not None:
        what, advice = f"holds {below}, a {kind_of(Path(below))} of medkd", "move that away, or name the folders beside it"
        raise SourceError("SOURCE_IS_STORE", f"expected DICOM as it came, {source} {what}; {advice}")


def _made(folder: Path) -> bool:
    return kind_of(folder) in (STORE, STUDY_STORE, QUARANTINE)
