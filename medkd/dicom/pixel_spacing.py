"""How far the pixels of a picture lie apart, and what that is measured at.

Source: PS3.3 10.7.1.3 (Pixel Spacing, Imager Pixel Spacing, Nominal Scanned Pixel Spacing and their calibration), C.8.5.5 (ultrasound regions).
"""

from __future__ import annotations

import math

from pydicom import Dataset

from data_contracts import PixelSpacing
from medkd.dicom.raw_values import raw_text, read_numbers, tag_of

#: RegionSpatialFormat of a region in two dimensions of space; PhysicalUnits of centimetres.
_TWO_DIMENSIONS, _CENTIMETRES = 1, 3
#: Deltas of two regions that differ by less are one.
_SAME = 1e-6
_CALIBRATIONS = frozenset({"GEOMETRY", "FIDUCIAL"})


def pixel_spacing(header: Dataset) -> PixelSpacing | None:
    """Return the spacing that a picture states, None where it states none, or several regions in space state different ones."""
    regions = ultrasound_regions(header)
    if regions:
        return _of_regions(regions)
    patient, detector, scanned = (_pair(header, name) for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"))
    calibration = raw_text(header, 0x00280A02).upper()
    factor = read_numbers(header, 0x00181114).values
    magnification = factor[0] if len(factor) == 1 and math.isfinite(factor[0]) and factor[0] > 0 else None
    known = calibration if calibration in _CALIBRATIONS else ""
    if patient is not None and (known or (detector is not None and not _same(patient, detector))):
        return PixelSpacing(
            between_rows_mm=patient[0],
            between_columns_mm=patient[1],
            kind="calibrated",
            calibration=known,
            magnification=magnification,
        )
    # Equal ones say that PixelSpacing was copied from the detector, without any correction (PS3.3 10.7.1.3).
    if detector is not None:
        return PixelSpacing(between_rows_mm=detector[0], between_columns_mm=detector[1], kind="detector", magnification=magnification)
    if patient is not None:
        return PixelSpacing(between_rows_mm=patient[0], between_columns_mm=patient[1], kind="stated", magnification=magnification)
    return None if scanned is None else PixelSpacing(between_rows_mm=scanned[0], between_columns_mm=scanned[1], kind="scanned")


def ultrasound_regions(header: Dataset) -> list[Dataset]:
    """Return the calibrated regions of an ultrasound picture (0018,6011)."""
    try:
        return list(header.get("SequenceOfUltrasoundRegions") or [])
    except Exception:  # a sequence can be broken in ways no rule foresees
        return []


def _of_regions(regions: list[Dataset]) -> PixelSpacing | None:
    """Return the spacing that all regions in space share; of Doppler and motion modes one axis is time."""
    found: list[tuple[float, float]] = []
    for region in regions:
        units = [_whole(region, name) for name in ("RegionSpatialFormat", "PhysicalUnitsXDirection", "PhysicalUnitsYDirection")]
        if units != [_TWO_DIMENSIONS, _CENTIMETRES, _CENTIMETRES]:
            continue
        deltas = [read_numbers(region, tag_of(name)).values for name in ("PhysicalDeltaY", "PhysicalDeltaX")]
        if any(len(delta) != 1 or not math.isfinite(delta[0]) or delta[0] == 0 for delta in deltas):
            return None
        # A delta is negative where a coordinate falls along the picture: its length is the distance.
        found.append((abs(deltas[0][0]) * 10, abs(deltas[1][0]) * 10))
    if not found or any(not _same(found[0], other) for other in found):
        return None
    return PixelSpacing(between_rows_mm=found[0][0], between_columns_mm=found[0][1], kind="ultrasound region")


def _whole(region: Dataset, keyword: str) -> int | None:
    values = read_numbers(region, tag_of(keyword)).values
    return int(values[0]) if len(values) == 1 else None


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    """Return two positive numbers, None where the attribute is anything else: a spacing of 0 is none."""
    values = read_numbers(header, tag_of(keyword)).values
    return (values[0], values[1]) if len(values) == 2 and all(math.isfinite(value) and value > 0 for value in values) else None


def _same(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_SAME) for a, b in zip(first, second, strict=True))
