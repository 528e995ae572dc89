"""Values are in the unit that the header verifies, Hounsfield units only where nothing contradicts them."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import IngestCode, IngestPolicy
from medkd.dicom.findings import Findings
from medkd.dicom.units import unit_of
from tests.dicom.invented import group_of, slice_at
from tests.dicom.voxels import ingested, truth

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


def typed(kind, modality="CT", image_type=None):
    def change(_, dataset):
        dataset.Modality = modality
        dataset.RescaleType = kind
        if kind is None:
            del dataset.RescaleType
        if image_type:
            dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL", image_type]

    return change


@pytest.mark.parametrize(
    ("kind", "modality", "image_type", "unit", "flagged"),
    [
        ("HU", "CT", None, "HU", False),
        ("hu", "CT", None, "HU", False),
        (None, "CT", None, "HU", False),
        ("MGML", "CT", "IODINE", "MGML", True),
        ("Z_EFF", "CT", None, "Z_EFF", True),
        ("US", "CT", None, "US", True),
        ("ED", "CT", None, "ED", True),
        ("HU_MOD", "CT", None, "HU_MOD", True),
        ("PCT", "CT", None, "PCT", True),
        ("Doe^Jane", "CT", None, "raw", True),
        (None, "CT", "EFF_Z", "raw", True),
        (None, "CT", "MAT_SPECIFIC", "raw", True),
        ("US", "MR", None, "raw", False),
        ("normalized", "MR", None, "raw", False),
        (None, "MR", None, "raw", False),
        ("OD", "MR", None, "OD", False),
    ],
)
def test_the_unit_is_what_the_header_says_and_only_then_hounsfield(series, kind, modality, image_type, unit, flagged):
    _, [(volume, values)] = ingested(series(typed(kind, modality, image_type)))
    assert volume.unit == unit
    assert (IngestCode.NOT_HOUNSFIELD in volume.flags) is flagged
    assert np.abs(values - truth(volume)).max() < 1
    assert "Doe" not in volume.canonical_json().decode()


def test_slices_of_two_units_are_two_volumes(series):
    def change(index, dataset):
        dataset.RescaleType = "HU" if float(dataset.ImagePositionPatient[2]) < 50 else "MGML"

    report, volumes = ingested(series(change))
    assert sorted(volume.unit for volume, _ in volumes) == ["HU", "MGML"]
    assert len({line.words for line in report.series}) == 2


@pytest.mark.parametrize(
    ("values", "unit", "flags"),
    [
        ({}, "HU", set()),
        ({"RescaleType": "HU", "ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}, "HU", set()),
        ({"ImageType": ["DERIVED", "PRIMARY", "AXIAL", "IODINE"]}, "raw", {IngestCode.NOT_HOUNSFIELD}),
        ({"Modality": "MR", "RescaleType": "US"}, "raw", set()),
        ({"Modality": "PT", "Units": "BQML"}, "BQML", set()),
    ],
)
def test_a_unit_is_read_and_what_speaks_against_it_flagged(values, unit, flags):
    findings = Findings(IngestPolicy())
    assert unit_of(group_of([slice_at(0, **values), slice_at(2, **values)]), findings) == unit
    assert set(findings.flags) == flags
