"""Lettering in pictures: found, refused, kept or blanked as the policy says; what is blanked is marked as not measured."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import Action, IngestCode
from medkd.dicom.classify import states_text
from medkd.dicom.confidentiality.burned_in import find_text
from medkd.dicom.findings import Findings
from medkd.dicom.pixel_spacing import ultrasound_regions
from medkd.dicom.raw_values import raw_text, read_numbers, tag_of

_EDGES = ("RegionLocationMinX0", "RegionLocationMinY0", "RegionLocationMaxX1", "RegionLocationMaxY1")
#: Pixels round a line of text that are blanked with it.
_ROUND = 2


def blanked_pixels(header: Dataset, lettering: NDArray[Any], findings: Findings) -> NDArray[np.bool_] | None:
    """Settle the text of a picture and return which pixels of every frame are to be blanked, [row, column]; None where none are.

    Where a repair blanks, it blanks what lies outside all ultrasound regions (the banner with name and date, the scales), and every line
    of text that was found in any frame.

    Args:
        header: of the picture.
        lettering: [frame, row, column], in which drawn text is bright.
        findings: settles ``BURNED_IN_TEXT``.

    Raises:
        IngestError: ``BURNED_IN_TEXT``, where the policy refuses it.
    """
    boxes = [box for frame in lettering for box in find_text(frame)]
    stated = raw_text(header, 0x00280301).upper()
    if not boxes and not states_text(stated, raw_text(header, 0x00080060)):
        return None
    outside = outside_regions(header, (lettering.shape[1], lettering.shape[2]))
    evidence = {
        "stated": stated if stated in ("YES", "NO") else "nothing",
        "lines_found": len(boxes),
        "outside_regions": 0 if outside is None else int(outside.sum()),
    }
    message = f"expected a picture without text, it is stated or usual, or found ({len(boxes)} lines)"
    # Text that is stated, and neither found nor outside of a known region, cannot be blanked.
    action = findings.resolve(IngestCode.BURNED_IN_TEXT, message, evidence, repairable=bool(boxes) or outside is not None)
    if action is not Action.REPAIR:
        return None
    mask = np.zeros(lettering.shape[1:], dtype=bool) if outside is None else outside
    for box in boxes:
        mask[max(box.top - _ROUND, 0) : box.bottom + _ROUND, max(box.left - _ROUND, 0) : box.right + _ROUND] = True
    findings.flags[IngestCode.BURNED_IN_TEXT]["blanked"] = int(mask.sum())
    return mask


def outside_regions(header: Dataset, matrix: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Return what lies outside of all ultrasound regions, [row, column]; None where none is stated that lies in the picture.

    Source: PS3.3 C.8.5.5.1.2 to C.8.5.5.1.5: columns and rows counted from 0, both ends belong to the region.
    """
    outside = np.ones(matrix, dtype=bool)
    known = False
    for region in ultrasound_regions(header):
        edges = [read_numbers(region, tag_of(name)).values for name in _EDGES]
        if any(len(edge) != 1 for edge in edges):
            continue
        left, top, right, bottom = (int(edge[0]) for edge in edges)
        if 0 <= left < right <= matrix[1] and 0 <= top < bottom <= matrix[0]:
            outside[top : bottom + 1, left : right + 1], known = False, True
    return outside if known else None
