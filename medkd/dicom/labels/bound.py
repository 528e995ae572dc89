"""A label on a volume's grid, whatever it came from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import Geometry, IngestCode, IngestError, PictureGrid, Segment
from medkd.dicom.findings import Findings

Mask = NDArray[np.bool_]
#: On which slices of a volume, or frames of a picture, one frame or contour lies; raises IngestError where it lies on none.
Slices = Callable[[Geometry | PictureGrid], range]


def in_space(geometry: Geometry | PictureGrid) -> Geometry:
    """Return the geometry of a volume, for labels that are drawn in space.

    Raises:
        IngestError: ``LABEL_UNSUPPORTED`` for a picture, which has no place in it.
    """
    if isinstance(geometry, PictureGrid):
        message = "expected a DICOM SEG as the label of a picture, which has no place in space that contours or NIfTI could lie at"
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, message)
    return geometry


@dataclass(frozen=True)
class BoundLabel:
    """A label on the volume's grid.

    Attributes:
        array: uint8 [slice, row, column], 0 background, otherwise the segment's value; the smaller structure's where segments overlap.
        segments: value, names and size of each; those that hold no voxel are among them.
        class_label: class of the study when the segmentation states one (``SegmentDescription`` "class=NAME"), else None.
        deviation_mm: largest distance of a frame or contour from the slice it was bound to.
        extra: ``segment/VALUE`` masks where segments overlap, ``fraction/VALUE`` of fractional ones; uint8 [slice, row, column].
        flags: what was found and accepted.
        evidence: what was measured, as JSON, for each flag.
    """

    array: NDArray[np.uint8]
    segments: tuple[Segment, ...]
    class_label: str | None
    deviation_mm: float
    extra: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    flags: tuple[IngestCode, ...] = ()
    evidence: dict[IngestCode, str] = field(default_factory=dict)


def paint_order(voxels: Mapping[int, int], rank: Mapping[int, Any]) -> list[int]:
    """Return structures in the order in which they are painted over one another: the largest first, so that the smallest wins.

    Args:
        voxels: structure → its size.
        rank: structure → what decides between structures of one size: the higher one wins. Never the number of a segment.
    """
    return sorted(voxels, key=lambda structure: (-voxels[structure], rank[structure]))


def paint(masks: Mapping[int, Mask], order: list[int]) -> tuple[NDArray[np.uint16], list[tuple[int, int, int]]]:
    """Paint masks [slice, row, column] in an order.

    Returns:
        The structure that each voxel went to, 0 for none, uint16 [slice, row, column]; and (winner, loser, voxels): how many voxels a
        structure took from which.
    """
    owner: NDArray[np.uint16] = np.zeros(next(iter(masks.values())).shape, dtype=np.uint16)
    overlaps: list[tuple[int, int, int]] = []
    for structure in order:
        below, counts = np.unique(owner[masks[structure]], return_counts=True)
        overlaps += [(structure, int(other), int(count)) for other, count in zip(below, counts, strict=True) if other]
        owner[masks[structure]] = structure
    return owner, overlaps


def said_names(segments: Iterable[Segment]) -> dict[int, str]:
    """Return what each value is called in words; two structures that share a name are told apart by their values."""
    named = {segment.value: segment.name for segment in segments}
    many = Counter(named.values())
    return {value: name if many[name] == 1 else f"{name} (value {value})" for value, name in named.items()}


def combine(
    masks: dict[int, Mask],
    segments: tuple[Segment, ...],
    deviation_mm: float,
    findings: Findings,
    *,
    fractions: dict[int, NDArray[np.uint8]] | None = None,
    class_label: str | None = None,
    lost: Mapping[int, str] | None = None,
) -> BoundLabel:
    """Return one label of the masks [slice, row, column] of all segments; where they overlap, the smaller structure wins.

    Args:
        masks: of each segment's value.
        segments: what each value stands for.
        deviation_mm: largest distance of a frame or contour from its slice.
        findings: settles ``OVERLAPPING_SEGMENTS`` and ``STRUCTURE_LOST``.
        fractions: 255 · probability of each segment's value.
        class_label: class of the study.
        lost: what was drawn of a segment and holds no voxel, in words, by value.

    Raises:
        IngestError: ``EMPTY_LABEL``, ``LABEL_UNSUPPORTED``, or ``OVERLAPPING_SEGMENTS`` or ``STRUCTURE_LOST`` where the policy refuses it.
    """
    voxels = {value: int(np.count_nonzero(mask)) for value, mask in masks.items()}
    said = said_names(segments)
    gone = {said[value]: (lost or {}).get(value, "no voxel") for value in sorted(masks) if value in (lost or {}) or not voxels[value]}
    if not any(voxels.values()):
        message = "expected at least one labelled voxel, the label is empty"
        raise IngestError(IngestCode.EMPTY_LABEL, message, {"structures": gone} if gone else {})
    wrong = [value for value in masks if not 0 < value < 256]
    if wrong:
        raise IngestError(IngestCode.LABEL_UNSUPPORTED, f"expected segment numbers from 1 to 255, got {wrong[0]}", {"segment": wrong[0]})
    rank = {segment.value: (segment.name.casefold(), segment.keys) for segment in segments}
    owner, overlaps = paint(masks, paint_order({value: count for value, count in voxels.items() if count}, rank))
    if gone:
        message = f"expected voxels of every structure, got none of {', '.join(gone)}"
        findings.resolve(IngestCode.STRUCTURE_LOST, message, {"structures": gone})
    extra: dict[str, NDArray[np.uint8]] = {}
    if overlaps:
        shared = sum(count for _, _, count in overlaps)
        pairs = [{"winner": said[winner], "loser": said[loser], "voxels": count} for winner, loser, count in overlaps]
        message = f"expected segments that do not overlap, they share {shared} voxels"
        findings.resolve(IngestCode.OVERLAPPING_SEGMENTS, message, {"voxels": shared, "overlaps": pairs})
        extra |= {f"segment/{value}": mask.astype(np.uint8) for value, mask in masks.items()}
    extra |= {f"fraction/{value}": fraction for value, fraction in (fractions or {}).items()}
    return BoundLabel(
        array=owner.astype(np.uint8),
        segments=tuple(segment.model_copy(update={"voxels": voxels.get(segment.value, 0)}) for segment in segments),
        class_label=class_label,
        deviation_mm=deviation_mm,
        extra=extra,
        flags=tuple(sorted(findings.flags)),
        evidence={code: json.dumps(evidence, sort_keys=True, default=str) for code, evidence in sorted(findings.flags.items())},
    )
