"""DICOM SEG: binary, fractional and label map segmentations, each frame placed by its own geometry. Source: PS3.3 C.8.20, A.51, A.84."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from data_contracts import Geometry, IngestCode, IngestError, PictureGrid
from medkd.dicom.classify import LABELMAP_STORAGE
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.labels.bound import BoundLabel, Mask, Slices, combine
from medkd.dicom.labels.names import Called, Names
from medkd.dicom.labels.other_grid import FrameGrid, frame_grids, sample_frame
from medkd.dicom.labels.references import derived_from
from medkd.dicom.labels.structure_set import coded_type
from medkd.dicom.quiet_dicom import quiet_dicom
from medkd.dicom.whole_object import decode_frames

#: A frame may lie this far (in voxels) from a slice of the volume.
TOLERANCE_VOXELS = 0.02
#: The far corner of a frame may lie this far (in pixels) from the voxel it is bound to.
TOLERANCE_CORNER = 0.5
#: Direction cosines and spacings of frames that differ by less are the same.
_PARALLEL = 1e-4
_CLASS = re.compile(r"^class=([a-z][a-z_]{0,31})$")
#: Fractions from here on are labelled.
AT_LEAST = 0.5


def bind_segmentation(
    file: FoundFile,
    geometry: Geometry | PictureGrid,
    findings: Findings,
    names: Names | None = None,
    only: frozenset[int] | None = None,
) -> BoundLabel:
    """Read a DICOM SEG onto the grid of a volume. Frames may cover a part of the volume's matrix, and run along its axes in any order and
    direction, when they lie on its voxels; empty frames may lie anywhere. Frames on another grid are sampled where the policy repairs that
    (:mod:`medkd.dicom.labels.other_grid`). On a picture, which lies nowhere, each frame covers the frame of the picture that it names.

    Args:
        file: of the segmentation.
        geometry: of the volume, or the grid of the picture.
        findings: settles what is found.
        names: what segments may be called.
        only: frames that belong to the volume, None for all; segments that only other frames hold are left out.

    Raises:
        IngestError: ``LABEL_UNSUPPORTED``, ``LABEL_GEOMETRY_MISMATCH``, ``EMPTY_LABEL``, ``OVERLAPPING_SEGMENTS``,
            ``STRUCTURE_LOST``, ``UNKNOWN_SEGMENT`` or ``DECODE_FAILED``.
    """
    with quiet_dicom():
        dataset, kind, known, background = _read(file)
        pixels = decode_frames(dataset, purpose="segmentation frames")
        called = (names or Names()).segments([_called(number, item) for number, item in sorted(known.items())], dataset)
        if only is not None:
            elsewhere = {number for index, frame in enumerate(pixels) for number in _segments_of(dataset, index, frame, kind, background)}
            here = {number for index in only for number in _segments_of(dataset, index, pixels[index], kind, background)}
            known = {number: item for number, item in known.items() if number in here or number not in elsewhere}
        fractions = {number: np.zeros(geometry.shape, dtype=np.uint8) for number in known} if kind == "FRACTIONAL" else {}
        masks: dict[int, Mask] = {number: np.zeros(geometry.shape, dtype=bool) for number in known}
        deviation = 0.0
        of_frame = {
            index: _segments_of(dataset, index, frame, kind, background)
            for index, frame in enumerate(pixels)
            if only is None or index in only
        }
        for index, region, planes, off in _placed(dataset, of_frame, geometry, findings):
            deviation = max(deviation, off)
            for number, part in planes.items():
                if number not in known:
                    message = f"expected a described segment, frame {index} refers to number {number}"
                    raise IngestError(IngestCode.UNKNOWN_SEGMENT, message, {"frame": index, "segment": number})
                if kind == "FRACTIONAL":
                    fractions[number][region] = np.maximum(fractions[number][region], part)
                masks[number][region] |= part >= AT_LEAST * 255 if kind == "FRACTIONAL" else part > 0
        if kind == "FRACTIONAL":
            message = "expected voxels that belong to a segment or do not, got fractions"
            findings.resolve(IngestCode.FRACTIONAL_LABEL, message, {"type": str(dataset.get("SegmentationFractionalType", ""))})
        segments = tuple(segment for segment in called if segment.value in known)
        if not masks:
            raise IngestError(
                IngestCode.EMPTY_LABEL, f"expected a voxel of a described segment, {len(known)} are described and none has one"
            )
        return combine(masks, segments, deviation, findings, fractions=fractions, class_label=_class_label(known))


#: Of one frame: its number, the part of the volume that it covers, its segments there, and how many mm it is off.
_Placed = tuple[int, tuple[slice, slice, slice], dict[int, NDArray[np.uint8]], float]


def _placed(
    dataset: Dataset, of_frame: dict[int, dict[int, NDArray[np.uint8]]], geometry: Geometry | PictureGrid, findings: Findings
) -> Iterator[_Placed]:
    """Yield each frame that holds something where it lies in the volume: on its voxels, or, all of them, sampled.

    Raises:
        IngestError: ``LABEL_GEOMETRY_MISMATCH`` where one does not lie on voxels, unless the policy repairs that and all frames are parallel.
    """
    places: dict[int, Place] = {}
    for index, planes in of_frame.items():
        try:
            places[index] = place_frame(dataset, index, geometry)
        except IngestError as error:
            if not any(part.any() for part in planes.values()):
                continue  # nothing is labelled there: the frame of a slice that did not come
            if isinstance(geometry, PictureGrid):
                raise  # a picture lies nowhere
            grids = _grids(dataset, of_frame)
            findings.resolve(error.ingest_code, error.message, error.evidence, repairable=bool(grids))
            yield from _sampled(grids, of_frame, geometry)
            return
    for index, place in places.items():
        yield index, place.region, {number: place.turned(plane) for number, plane in of_frame[index].items()}, place.off_mm


def _sampled(grids: dict[int, FrameGrid], of_frame: dict[int, dict[int, NDArray[np.uint8]]], geometry: Geometry) -> Iterator[_Placed]:
    for index, grid in grids.items():
        for number, plane in of_frame[index].items():
            region, values, off = sample_frame(plane, grid, geometry)
            yield index, region, {number: values}, off


def _grids(dataset: Dataset, of_frame: dict[int, dict[int, NDArray[np.uint8]]]) -> dict[int, FrameGrid]:
    """Return the grids of the frames that hold something; none where they are not parallel or do not say where they lie."""
    try:
        held = [index for index, planes in of_frame.items() if any(part.any() for part in planes.values())]
        groups = [_groups(dataset, index) for index in held]
        positions = [np.array(_group(*group, "PlanePositionSequence").ImagePositionPatient, dtype=float) for group in groups]
        orientations = np.array([_group(*group, "PlaneOrientationSequence").ImageOrientationPatient for group in groups], dtype=float)
        measures = [_group(*group, "PixelMeasuresSequence") for group in groups]
        spacings = np.array([one.PixelSpacing for one in measures], dtype=float)
    except (IngestError, AttributeError, ValueError):
        return {}
    if np.ptp(orientations, axis=0).max() > _PARALLEL or np.ptp(spacings, axis=0).max() > _PARALLEL:
        return {}
    thickness = float(measures[0].get("SpacingBetweenSlices") or measures[0].get("SliceThickness") or 0)
    shape = (int(dataset.Rows), int(dataset.Columns))
    return dict(zip(held, frame_grids(positions, orientations[0], spacings[0], shape, thickness), strict=True))


def segmentation_slices(file: FoundFile) -> list[Slices | None]:
    """Return of each frame of a DICOM SEG on which slices of a volume it lies; None of a frame that holds nothing.

    Raises:
        IngestError: ``LABEL_UNSUPPORTED`` or ``DECODE_FAILED``; what is returned raises ``LABEL_GEOMETRY_MISMATCH``.
    """
    with quiet_dicom():
        dataset, kind, _, background = _read(file)
        pixels = decode_frames(dataset, purpose="segmentation frames")
        held = [
            any(part.any() for part in _segments_of(dataset, index, frame, kind, background).values()) for index, frame in enumerate(pixels)
        ]

    def slices(index: int, geometry: Geometry | PictureGrid) -> range:
        covered = place_frame(dataset, index, geometry).region[0]
        return range(covered.start, covered.stop)

    return [partial(slices, index) if holds else None for index, holds in enumerate(held)]


def _read(file: FoundFile) -> tuple[Dataset, str, dict[int, Dataset], int]:
    """Return a DICOM SEG, its kind, its segments by number, and the number of its background."""
    dataset = dcmread(file.path)
    kind = "LABELMAP" if str(dataset.SOPClassUID) == LABELMAP_STORAGE else str(dataset.get("SegmentationType", "none"))
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, f"expected a binary, fractional or label map segmentation, got {kind}")
    known = {int(item.SegmentNumber): item for item in dataset.get("SegmentSequence") or []}
    # A label map has the background as a value among the others, and Pixel Padding Value says which.
    background = int(dataset.get("PixelPaddingValue", 0) or 0) if kind == "LABELMAP" else 0
    known.pop(background, None)
    return dataset, kind, known, background


def _segments_of(dataset: Dataset, index: int, frame: NDArray[np.uint8], kind: str, background: int) -> dict[int, NDArray[np.uint8]]:
    """Return the segments of one frame: 1 (or 255 · fraction) inside."""
    if kind == "LABELMAP":
        return {int(value): (frame == value).astype(np.uint8) for value in np.unique(frame) if value != background}
    own, shared = _groups(dataset, index)
    number = int(_group(own, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    if kind == "FRACTIONAL":
        # Stored fractions are parts of the stated maximum (PS3.3 C.8.20.2).
        most = float(dataset.get("MaximumFractionalValue", 255) or 255)
        return {number: np.rint(frame.astype(np.float64) * 255 / most).clip(0, 255).astype(np.uint8)}
    return {number: frame}


@dataclass(frozen=True)
class Place:
    """Where one frame lies in a volume.

    Attributes:
        region: slices (slice, row, column) of the volume that the frame covers; one voxel thick across the frame.
        transposed: whether the frame's rows run along the later of the two axes that it spans.
        flipped: axes of the (transposed) frame that run against the volume's.
        off_mm: distance of the frame's first pixel from the voxel it was bound to.
    """

    region: tuple[slice, slice, slice]
    transposed: bool
    flipped: tuple[int, ...]
    off_mm: float

    def turned(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return a frame [row, column] as it lies in ``region`` [slice, row, column]."""
        plane = np.flip(frame.T if self.transposed else frame, self.flipped)
        return plane.reshape([part.stop - part.start for part in self.region])


def place_frame(dataset: Dataset, index: int, geometry: Geometry | PictureGrid) -> Place:
    """Return where one frame lies in the volume or picture. Rows and columns may run along any axes of a volume, either way.

    Raises:
        IngestError: ``LABEL_GEOMETRY_MISMATCH`` when it does not lie on voxels of the volume, or on a frame of the picture.
    """
    own, shared = _groups(dataset, index)
    if isinstance(geometry, PictureGrid):
        return _place_on_picture(dataset, index, (own, shared), geometry)
    position = np.array(_group(own, shared, "PlanePositionSequence").ImagePositionPatient, dtype=float)
    orientation = np.array(_group(own, shared, "PlaneOrientationSequence").ImageOrientationPatient, dtype=float)
    spacing = np.array(_group(own, shared, "PixelMeasuresSequence").PixelSpacing, dtype=float)
    affine = np.asarray(geometry.affine_lps_mm)
    steps = np.stack([orientation[3:] * spacing[0], orientation[:3] * spacing[1]], axis=1)
    size = np.array([int(dataset.Rows), int(dataset.Columns)])
    # Steps of a row and of a column in voxels: each must be one step, forth or back, along an axis of its own.
    in_voxels = np.linalg.solve(affine[:3, :3], steps)
    axes = np.abs(in_voxels).argmax(0)
    signs = np.sign(in_voxels[axes, [0, 1]])
    whole = np.zeros((3, 2))
    whole[axes, [0, 1]] = signs
    skew = float((np.abs(steps - affine[:3, :3] @ whole).max(0) * size).max() / spacing.min())
    voxel = np.linalg.solve(affine[:3, :3], position - affine[:3, 3])
    first = np.rint(voxel).astype(int)
    last = first + (whole @ (size - 1)).astype(int)
    low, high = np.minimum(first, last), np.maximum(first, last)
    drift = float(np.abs(voxel - first).max())
    inside = bool((low >= 0).all() and (high < geometry.shape).all())
    evidence = {"frame": index, "voxels_off": drift, "corner_voxels_off": skew, "inside": inside}
    if axes[0] == axes[1] or skew > TOLERANCE_CORNER:
        message = f"expected rows and columns of frame {index} along the volume's axes, in steps of its voxels, its far corner is {skew:.3f} pixels off"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, evidence)
    if drift > TOLERANCE_VOXELS:
        message = f"expected frame {index} on a slice of the volume, it is {drift:.3f} voxels off"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, evidence)
    if not inside:
        message = (
            f"expected frame {index} inside of the volume, it covers voxels {low.tolist()} to {high.tolist()} of {list(geometry.shape)}"
        )
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, evidence)
    off = float(np.linalg.norm(position - np.asarray(geometry.position_lps_mm(*(float(v) for v in first)))))
    region = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    # The volume's axes come in the order slice, row, column: a frame that spans them in another one is turned.
    transposed = bool(axes[0] > axes[1])
    turned = signs[::-1] if transposed else signs
    return Place((region[0], region[1], region[2]), transposed, tuple(int(axis) for axis in np.flatnonzero(turned < 0)), off)


def _place_on_picture(dataset: Dataset, index: int, groups: tuple[Dataset, Dataset], picture: PictureGrid) -> Place:
    """Return which frame of a picture one frame covers: the one it names as its source, or the only one. Source: PS3.3 C.7.6.16.2.6."""
    frames, rows, columns = picture.shape
    size = (int(dataset.Rows), int(dataset.Columns))
    numbers = {number for group in groups for _, number in derived_from(group) if number} or ({1} if frames == 1 else set())
    if size != (rows, columns) or len(numbers) != 1 or not 1 <= min(numbers) <= frames:
        evidence = {"frame": index, "matrix": list(size), "picture": list(picture.shape), "source_frames": sorted(numbers)}
        message = f"expected frame {index} to have the {rows} x {columns} pixels of its picture and to name one of its {frames} frames"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, evidence)
    number = numbers.pop()
    return Place((slice(number - 1, number), slice(0, rows), slice(0, columns)), False, (), 0.0)


def _groups(dataset: Dataset, index: int) -> tuple[Dataset, Dataset]:
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    if index >= len(frames):
        message = f"expected functional groups for frame {index}, there are {len(frames)}"
        raise IngestError(IngestCode.LABEL_GEOMETRY_MISMATCH, message, {"frame": index})
    return frames[index], shared[0]


def _group(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    source = own if keyword in own else shared
    if not source.get(keyword):
        raise IngestError(
            IngestCode.LABEL_GEOMETRY_MISMATCH, f"expected {keyword} in the functional groups, it is missing", {"missing": keyword}
        )
    first: Dataset = source[keyword].value[0]
    return first


def _called(number: int, item: Dataset) -> Called:
    """Return what a segment is called. Source: PS3.3 C.8.20.4."""
    coded = item.get("SegmentedPropertyTypeCodeSequence")
    return Called(
        value=number,
        label=str(item.get("SegmentLabel", "") or ""),
        others=tuple(str(item.get(key, "") or "") for key in ("SegmentDescription", "TrackingID")),
        **coded_type(coded[0] if coded else None),
        fallback="segment",
    )


def _class_label(known: dict[int, Dataset]) -> str | None:
    found = {match.group(1) for item in known.values() if (match := _CLASS.match(str(item.get("SegmentDescription", ""))))}
    return found.pop() if len(found) == 1 else None
