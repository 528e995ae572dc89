"""Which of the files found are images and which are labels; whatever is neither gets its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_contracts import IngestCode, IngestError, IngestPolicy
from medkd.dicom.classify import ObjectKind, classify
from medkd.dicom.comparison_cache import ComparisonCache
from medkd.dicom.file_conflicts import find_conflicts
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import UNREAD, FoundFile
from medkd.dicom.group import SliceGroup
from medkd.dicom.labels.nifti import is_nifti
from medkd.dicom.ledger import Ledger
from medkd.dicom.picture_frames import picture_group
from medkd.dicom.slices import Slice, slices_of


@dataclass(frozen=True)
class SortedObjects:
    """What ingestion goes on with.

    Attributes:
        images: slices of all images, in the order of their files.
        pictures: frames of each picture, an image of its own.
        labels: label objects, and what they are.
        flags: what was accepted or repaired in the header of an image, by file and code, with its evidence.
    """

    images: tuple[Slice, ...]
    pictures: tuple[SliceGroup, ...]
    labels: tuple[tuple[FoundFile, ObjectKind], ...]
    flags: dict[FoundFile, dict[IngestCode, dict[str, Any]]]


def sort_objects(found: tuple[FoundFile, ...], ledger: Ledger, policy: IngestPolicy, comparisons: ComparisonCache) -> SortedObjects:
    """Return the slices of all images, the pictures, and the labels; everything else gets its outcome in the ledger.

    Args:
        found: every file of the source.
        ledger: of the ingestion.
        policy: of the site.
        comparisons: whether two files say the same.
    """
    images: list[Slice] = []
    pictures: list[SliceGroup] = []
    labels: list[tuple[FoundFile, ObjectKind]] = []
    flags: dict[FoundFile, dict[IngestCode, dict[str, Any]]] = {}
    conflicts = find_conflicts(list(found), comparisons.same_image)
    for file in found:
        ledger.note(file, file.notes)
        findings = Findings(policy)
        try:
            if is_nifti(Path(file.relative)) and file.code not in UNREAD:
                labels.append((file, ObjectKind.NIFTI))
                continue
            if not ledger.admit(file, findings) or file.header is None:
                continue
            if file.relative in conflicts:
                ledger.refuse(file, conflicts[file.relative])
                continue
            kind = classify(file.header, findings)
            if findings.flags:
                flags[file] = dict(findings.flags)
            if kind is ObjectKind.IMAGE:
                images.extend(slices_of(file))
            elif kind is ObjectKind.PICTURE:
                pictures.append(picture_group(file))
            else:
                labels.append((file, kind))
        except IngestError as error:
            broken = file.pixels is not None and not file.pixels.whole
            # What breaks off is the cause of whatever else is missing.
            code = IngestCode.TRUNCATED_PIXELS if broken else error.ingest_code
            ledger.note(file, {error.ingest_code, *comparisons.faults_of_pixels(file)})
            ledger.refuse(file, code, {"what": error.message, **error.evidence})
        except Exception as error:  # a header can be broken in ways no rule foresees; the file is kept, its error named
            ledger.refuse(file, IngestCode.UNREADABLE_HEADER, {"error": type(error).__name__})
        ledger.note(file, set(findings.flags))
    return SortedObjects(tuple(images), tuple(pictures), tuple(labels), flags)
