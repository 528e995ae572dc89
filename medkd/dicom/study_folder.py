"""The folder of one study's results: claimed with the store in it, which is made anew for every study.

What an ingestion wrote goes, file by file; what somebody put beside it stays.
"""

from __future__ import annotations

from pathlib import Path

from medkd.dicom.source import check_source
from medkd.storage.output import MARKER, STORE, STUDY, STUDY_STORE, claim, kind_of, mark, refuse_foreign

_KEY, _DIGEST = "s" + "[0-9a-f]" * 16, "[0-9a-f]" * 12
_PLACE = "[0-9a-f]" * 16
#: Names of everything that an ingestion writes, the manifest first: without it nothing is listed.
_WRITTEN = (
    "manifest.json",
    ".medkd-manifest",
    ".medkd-ingesting",
    f"volumes/{_KEY}.safetensors",
    f"labels/{_KEY}-{_DIGEST}.safetensors",
    f"qc/{_KEY}-{_DIGEST}.png",
    *(f"quarantine/{name}" for name in ("memory.json", "series.csv", "report.html", "policy.json")),
    *(f"quarantine/{_PLACE}/{name}" for name in ("file", "reason.json", "picture.png", "no-picture")),
)
_FOLDERS = ("volumes", "labels", "qc", f"quarantine/{_PLACE}", "quarantine")


def claim_study(source: Path, out: Path) -> Path:
    """Claim a folder for the results of a study, and in it the store that the study is ingested into, and return the store's folder.

    Raises:
        SourceError: as ``check_source``.
        OutputError: ``OUT_OVERLAPS``, or as ``claim``: the folder, or the ``store`` in it, was not made for this.
    """
    check_source(source, out)
    store = out / "store"
    refuse_foreign(out, STUDY)
    # Made before there were markers: the store in a folder that is known by its report is the report's.
    if not _marked(out) and kind_of(out) == STUDY and not _marked(store) and kind_of(store) == STORE:
        mark(store, STUDY_STORE)
    refuse_foreign(store, STUDY_STORE)
    claim(out, STUDY)
    return claim(store, STUDY_STORE)


def empty_store(store: Path) -> Path:
    """Remove what an earlier study left in a claimed store, and return it.

    Raises:
        OutputError: ``OUT_FOREIGN`` when the folder was not made for this.
    """
    claim(store, STUDY_STORE)
    for pattern in _WRITTEN:
        for path in store.glob(pattern):
            path.unlink()
    for pattern in _FOLDERS:
        for path in store.glob(pattern):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
    return store


def _marked(folder: Path) -> bool:
    return (folder / MARKER).is_file()
