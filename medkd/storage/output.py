"""Where results go: a folder that was empty or that we made, apart from the source. Nothing else is written to, changed or deleted.

A folder of ours holds a marker that says what it was made for, written before anything else. What lies in a folder without one is
somebody's, whatever its name; folders that were made before there were markers are known by what only we leave in them. A folder with
a marker is closed to others (``data_contracts.private``), the folder that is handed on is not. Temporary
files and folders have names of ours (``.NAME.PID.medkd-partial``, ``.medkd-…``), so that nobody's ``NAME.partial`` is taken for one.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from data_contracts import OutputError, SourceError
from data_contracts.private import close_to_others, make_ordinary, open_private
from data_contracts.record import PARTIAL, partial_path

MARKER = ".medkd-folder"
#: What folders are made for.
RUN, STORE, STUDY, STUDY_STORE, QUARANTINE = "run", "store", "study", "store of a study", "quarantine"
PHANTOM, REPORTS, SERIES, RESULTS, INBOX = "phantom", "reports", "series", "DICOM results", "inbox"
VAULT = "re-identification vault"
CONTROLS = "control reports"
FORM = "exported form"
#: What shows that an unmarked folder is ours: files in it, and how their bytes begin.
_EARLIER = {
    RUN: (("stages/begun.log", b""), ("evaluation.json", b'{"cases":')),
    STORE: (("manifest.json", b'{"schema_version":"store/'),),
    STUDY: (("report.json", b'{"arrays":{"key":"'), ("explanations/*/explanation.json", b'{"answers":[')),
    QUARANTINE: (("deidentification.json", b'{"decoded_files":'),),
    PHANTOM: (("README.txt", b"Exported by a workstation.\n"),),
}
#: What systems put into folders, empty ones too; nothing of ours has such a name.
_OF_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"}
_NOTE = "Made by medkd, which may change what it wrote here. Without this file it will not write here again."


def require_source(source: Path) -> None:
    """Refuse a source that cannot be read at all.

    Raises:
        SourceError: ``SOURCE_MISSING`` or ``SOURCE_UNREADABLE``.
    """
    try:
        if not source.exists():
            raise SourceError("SOURCE_MISSING", f"expected a folder or file at {source}, there is nothing; look at how it is written")
        if source.is_dir():
            os.scandir(source).close()
        elif source.is_file():
            source.open("rb").close()
        else:
            raise SourceError("SOURCE_UNREADABLE", f"expected a folder or file at {source}, it is neither; name another source")
    except OSError as error:
        raise SourceError("SOURCE_UNREADABLE", f"expected a source that can be read, {source}: {error.strerror}") from error


def require_apart(source: Path, out: Path, *, called: str = "the source") -> None:
    """Refuse a source and an output that are one folder or contain one another, by whatever way they are named.

    ``called`` is what a sentence calls the source. An output in its source would be read as a source the next time, and a source in its output lies where files are replaced.

    Raises:
        OutputError: ``OUT_OVERLAPS``.
    """
    # A DICOMDIR names files beside it: the source is the folder that they lie in.
    whole = source.parent if source.name.upper() == "DICOMDIR" and source.is_file() else source
    read, written = Path(os.path.realpath(whole)), Path(os.path.realpath(out))
    advice = "name a folder that lies beside it"
    if _same(read, written):
        raise OutputError("OUT_OVERLAPS", f"expected an output apart from {called}, both are {read}; {advice}")
    if any(_same(read, above) for above in written.parents):
        raise OutputError("OUT_OVERLAPS", f"expected an output outside {called}, {out} lies in {source}; {advice}")
    if any(_same(written, above) for above in read.parents):
        raise OutputError("OUT_OVERLAPS", f"expected an output that does not hold {called}, {out} holds {source}; {advice}")


def kind_of(folder: Path) -> str | None:
    """Return what a folder was made for by us, None where it is not ours."""
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return str(found["made_for"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return next((kind for kind, signs in _EARLIER.items() if any(_shows(folder, *sign) for sign in signs)), None)


def refuse_foreign(folder: Path, kind: str) -> None:
    """Refuse an output that holds what we did not write for this purpose; nothing is made or changed.

    Raises:
        OutputError: ``OUT_NO_FOLDER``, ``OUT_FOREIGN`` or ``OUT_UNWRITABLE``.
    """
    # An empty folder is nobody's: a marker is looked for only where there is something.
    held = _foreign(folder)
    made_for = kind_of(folder) if held else kind
    if made_for is None:
        raise _not_ours(f"an empty folder or a {kind} that medkd made", folder, held)
    if made_for != kind:
        raise OutputError(
            "OUT_FOREIGN", f"expected an empty folder or a {kind} that medkd made, {folder} is a {made_for}; name another folder"
        )


def claim(folder: Path, kind: str) -> Path:
    """Make a folder ours for a purpose, or go on in one that is, and return it; sources are checked before this.

    Raises:
        OutputError: as :func:`refuse_foreign`, and ``OUT_UNWRITABLE`` where nothing can be written.
    """
    refuse_foreign(folder, kind)
    return mark(folder, kind)


def mark(folder: Path, kind: str) -> Path:
    """Write the marker of a folder that is known to be ours, and return the folder.

    Raises:
        OutputError: ``OUT_UNWRITABLE``.
    """
    # Written anew each time: this is how a folder that can no longer be written to is met before any work is done.
    _write(folder / MARKER, json.dumps({"made_for": kind, "note": _NOTE}) + "\n")
    return folder if kind == PHANTOM else close_to_others(folder)


def claim_unmarked(folder: Path, names: str) -> Path:
    """Make a folder ours that is to be handed on and so holds no marker: what lies in it must have names that only we give.

    Args:
        folder: to write to.
        names: regular expression of the names.

    Raises:
        OutputError: as :func:`claim`.
    """
    strange = [name for name in _foreign(folder) if not re.fullmatch(names, name)]
    if strange:
        raise _not_ours("an empty folder or one that medkd filled", folder, strange)
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    _write(folder / MARKER, "")
    (folder / MARKER).unlink()
    for path in made:
        make_ordinary(path)
    return folder


def _foreign(folder: Path) -> list[str]:
    """Return the names in a folder, if there is one, that are not those of temporary files of ours."""
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError("OUT_NO_FOLDER", f"expected a folder to write to, {folder} is a file; name another folder")
        held = os.listdir(folder) if folder.is_dir() else []
    except OSError as error:
        raise _unwritable(folder, error) from error
    return sorted(name for name in held if not name.startswith(".medkd-") and not name.endswith(PARTIAL) and name not in _OF_SYSTEMS)


def _not_ours(wanted: str, folder: Path, held: list[str]) -> OutputError:
    return OutputError("OUT_FOREIGN", f"expected {wanted}, {folder} holds {held[0]!r}, which it did not write; name another folder")


def _same(one: Path, other: Path) -> bool:
    """Return whether two paths are one place: also where a file system has two names for it (mounts, letter case)."""
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _shows(folder: Path, pattern: str, begin: bytes) -> bool:
    """Return whether a folder holds a file of a name that begins with these bytes."""
    try:
        for path in folder.glob(pattern) if "*" in pattern else [folder / pattern]:
            with path.open("rb") as stream:
                if stream.read(len(begin)) == begin:
                    return True
    except OSError:
        pass
    return False


def _write(path: Path, text: str) -> None:
    """Write a small file, its folder made where there is none.

    Raises:
        OutputError: ``OUT_UNWRITABLE``.
    """
    partial = partial_path(path)
    try:
        with open_private(partial, "w", encoding="utf-8") as stream:
            stream.write(text)
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> OutputError:
    why = error.strerror or type(error).__name__
    return OutputError("OUT_UNWRITABLE", f"expected a folder that can be written to, {folder} cannot ({why}); name another folder")
