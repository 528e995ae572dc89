"""A label on a volume's grid, whatever it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import IngestCode, IngestError, Segment
from medkd.dicom.findings import Findings

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class BoundLabel:
    """A label on the volume's grid.

    Attributes:
        array: uint8 [slice, row, column], 0 background, otherwise the segment's value; the highest where segments overlap.
        segments: value, name and tracking id of each.
        class_label: class of the study when the segmentation states one (``SegmentDescription`` "class=NAME"), else None.
        deviation_mm: largest distance of a frame or contour from the slice it was bound to.
        extra: ``segment/VALUE`` masks where segments overlap, ``fraction/VALUE`` of fractional ones; uint8 [slice, row, column].
        flags: what was found and accepted.
    """

    array: Tensor
    segments: tuple[Segment, ...]
    class_label: str | None
    deviation_mm: float
    extra: dict[str, Tensor] = field(default_factory=dict)
    flags: tuple[IngestCode, ...] = ()


def combine(
    masks: dict[int, Mask],
    segments: tuple[Segment, ...],
    deviation_mm: float,
    findings: Findings,
    *,
    fractions: dict[int, NDArray[np.uint8]] | None = None,
    class_label: str | None = None,
) -> BoundLabel:
    """Return one label of the masks [slice, row, column] of all segments.

    Raises:
        IngestError: ``EMPTY_LABEL``, or ``OVERLAPPING_SEGMENTS`` where the policy refuses it.
    """
    if not any(mask.any() for mask in masks.values()):
        raise IngestError(IngestCode.EMPTY_LABEL, "expected at least one labelled voxel, the label is empty")
    label: NDArray[np.uint8] = np.zeros(next(iter(masks.values())).shape, dtype=np.uint8)
    shared = 0
    for value, mask in sorted(masks.items()):
        if not 0 < value < 256:
            raise IngestError(IngestCode.LABEL_UNSUPPORTED, f"expected segment numbers from 1 to 255, got {value}", {"segment": value})
        shared += int(np.count_nonzero(label[mask]))
        label[mask] = value
    extra: dict[str, Any] = {}
    if shared:
        findings.settle(
            IngestCode.OVERLAPPING_SEGMENTS, f"expected segments that do not overlap, they share {shared} voxels", {"voxels": shared}
        )
        extra |= {f"segment/{value}": torch.from_numpy(mask.astype(np.uint8)) for value, mask in masks.items()}
    extra |= {f"fraction/{value}": torch.from_numpy(fraction) for value, fraction in (fractions or {}).items()}
    return BoundLabel(torch.from_numpy(label), segments, class_label, deviation_mm, extra, tuple(sorted(findings.flags)))
