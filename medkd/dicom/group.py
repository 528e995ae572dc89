"""Which slices belong together: one patient, study, series, frame of reference, orientation, matrix, spacing and contrast."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from data_contracts import IngestCode
from medkd.dicom.decode import decode_slice
from medkd.dicom.discover import FoundFile
from medkd.dicom.solve_geometry import SlicePlanes


@dataclass(frozen=True)
class SliceGroup:
    """Slices that may form one volume."""

    files: tuple[FoundFile, ...]

    @property
    def header(self) -> Dataset:
        """Return the first slice's header; what is read from it is the same in all."""
        header = self.files[0].header
        if header is None:
            raise ValueError("expected slices with headers")
        return header

    def planes(self) -> SlicePlanes:
        """Return the planes of the slices, in the order of ``files``."""
        positions = np.array([[float(v) for v in file.header.ImagePositionPatient] for file in self.files if file.header is not None])
        header = self.header
        return SlicePlanes(
            positions_mm=positions,
            orientation=np.array([float(v) for v in header.ImageOrientationPatient]),
            pixel_spacing_mm=(float(header.PixelSpacing[0]), float(header.PixelSpacing[1])),
            matrix=(int(header.Rows), int(header.Columns)),
        )


def group_slices(files: list[FoundFile]) -> tuple[SliceGroup, ...]:
    """Group image files; a series is split where orientation, matrix, spacing, image type, echo or b-value differ."""
    groups: dict[tuple[object, ...], list[FoundFile]] = defaultdict(list)
    for file in files:
        if file.header is not None:
            groups[_key(file.header)].append(file)
    return tuple(SliceGroup(tuple(members)) for _, members in sorted(groups.items(), key=lambda item: item[1][0].relative))


def _key(header: Dataset) -> tuple[object, ...]:
    orientation = tuple(round(float(v), 4) + 0.0 for v in header.ImageOrientationPatient)
    spacing = tuple(round(float(v), 5) for v in header.PixelSpacing)
    image_type = tuple(str(part) for part in header.get("ImageType", None) or ())
    contrast = tuple(str(header.get(keyword, "")) for keyword in ("EchoNumbers", "DiffusionBValue", "FrameOfReferenceUID"))
    identity = tuple(str(header.get(keyword, "")) for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID"))
    return (*identity, orientation, int(header.Rows), int(header.Columns), spacing, image_type, contrast)


def find_conflicts(files: list[FoundFile]) -> dict[str, IngestCode]:
    """Return the files (by relative path) whose identity contradicts another's; none of them is guessed to be the right one.

    ``DUPLICATE_FILE``: the same bytes again, or the same header and pixels in another encoding (all but the first).
    ``DUPLICATE_UID_CONFLICT``: one instance UID, different content.
    ``PATIENT_ID_COLLISION``: one series UID under two patient ids.
    """
    conflicts: dict[str, IngestCode] = {}
    first_with: dict[str, str] = {}
    instances: dict[str, list[FoundFile]] = defaultdict(list)
    series: dict[str, list[FoundFile]] = defaultdict(list)
    for file in files:
        if first_with.setdefault(file.sha256, file.relative) != file.relative:
            conflicts[file.relative] = IngestCode.DUPLICATE_FILE
        elif file.header is not None:
            instances[str(file.header.get("SOPInstanceUID", "")) or file.relative].append(file)
            series[str(file.header.get("SeriesInstanceUID", "")) or file.relative].append(file)
    for members in instances.values():
        if len(members) > 1 and all(_same_image(members[0], member) for member in members[1:]):
            conflicts |= {member.relative: IngestCode.DUPLICATE_FILE for member in members[1:]}
        elif len(members) > 1:
            conflicts |= {member.relative: IngestCode.DUPLICATE_UID_CONFLICT for member in members}
    for members in series.values():
        if len({str(member.header.get("PatientID", "")) for member in members if member.header is not None}) > 1:
            conflicts |= {member.relative: IngestCode.PATIENT_ID_COLLISION for member in members}
    return conflicts


def _same_image(first: FoundFile, second: FoundFile) -> bool:
    """Return whether two files say the same in all but the encoding of their pixels."""
    if first.header != second.header:
        return False
    try:
        return np.array_equal(decode_slice(first.path, first.relative), decode_slice(second.path, second.relative))
    except Exception:  # what cannot be compared is not the same
        return False
