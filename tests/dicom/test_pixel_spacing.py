from __future__ import annotations

import pytest

from medkd.dicom.pixel_spacing import pixel_spacing, ultrasound_regions
from medkd.phantom.dicom_pictures import ultrasound_region
from tests.dicom.invented import header

NONE = {"PixelSpacing": None}


def said(**values):
    found = pixel_spacing(header(**values))
    return None if found is None else (found.between_rows_mm, found.between_columns_mm, found.kind)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1, "stated")),
        ({**NONE, "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1, "detector")),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1, "detector")),
        ({"PixelSpacing": [0.18, 0.09], "ImagerPixelSpacing": [0.2, 0.1]}, (0.18, 0.09, "calibrated")),
        ({"PixelSpacing": [0.2, 0.1], "PixelSpacingCalibrationType": "FIDUCIAL"}, (0.2, 0.1, "calibrated")),
        ({**NONE, "NominalScannedPixelSpacing": [0.4, 0.4]}, (0.4, 0.4, "scanned")),
        (NONE, None),
        ({"PixelSpacing": [0.0, 0.1]}, None),
        ({"PixelSpacing": [0.2]}, None),
    ],
)
def test_a_spacing_is_said_with_what_it_is_measured_at(values, wanted):
    assert said(**values) == wanted


def test_a_magnification_is_said_and_nothing_is_divided_by_it():
    values = {"ImagerPixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.25, "PixelSpacingCalibrationType": "GEOMETRY"}
    found = pixel_spacing(header(**{**values, "PixelSpacing": [0.08, 0.08]}))
    assert (found.between_rows_mm, found.kind, found.calibration, found.magnification) == (0.08, "calibrated", "GEOMETRY", 1.25)
    assert pixel_spacing(header(**{**values, **NONE})).between_rows_mm == 0.1


def test_an_ultrasound_is_measured_by_its_regions_in_space_only():
    # 0.02 cm is 0.2 mm.
    space, motion = ultrasound_region((0, 0, 5, 3)), ultrasound_region((0, 0, 5, 3), spatial_format=2, unit=4, delta_cm=7)
    assert said(SequenceOfUltrasoundRegions=[space, motion]) == (0.2, 0.2, "ultrasound region")
    falling = ultrasound_region((0, 0, 5, 3), delta_cm=-0.02)
    assert said(SequenceOfUltrasoundRegions=[falling]) == (0.2, 0.2, "ultrasound region")
    assert said(SequenceOfUltrasoundRegions=[motion]) is None


def test_two_regions_of_different_spacing_give_none():
    regions = [ultrasound_region((0, 0, 2, 3)), ultrasound_region((3, 0, 5, 3), delta_cm=0.03)]
    assert said(SequenceOfUltrasoundRegions=regions) is None
    assert len(ultrasound_regions(header(SequenceOfUltrasoundRegions=regions))) == 2
