"""A real-world value map gives the unit where it is the rescale."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset, Sequence

from tests.dicom.voxels import ingested, truth

pytestmark = pytest.mark.usefixtures("odd_values_may_be_written")


def mapped(unit, slope, intercept, *, strip, kind=None):
    def change(_, dataset):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = unit, "UCUM", unit
        item = Dataset()
        item.RealWorldValueSlope, item.RealWorldValueIntercept = slope, intercept
        item.RealWorldValueFirstValueMapped, item.RealWorldValueLastValueMapped = 0, 4000
        for keyword in ("RealWorldValueFirstValueMapped", "RealWorldValueLastValueMapped"):
            item[keyword].VR = "US"
        item.LUTLabel, item.LUTExplanation = "x", "x"
        item.MeasurementUnitsCodeSequence = Sequence([code])
        dataset.RealWorldValueMappingSequence = Sequence([item])
        del dataset.RescaleType
        if kind:
            dataset.RescaleType = kind
        if strip:
            del dataset.RescaleSlope, dataset.RescaleIntercept

    return change


@pytest.mark.parametrize(
    ("unit", "slope", "intercept", "strip", "kind", "wanted"),
    [
        ("[hnsf'U]", 1.0, -1024.0, True, None, "HU"),
        ("[hnsf'U]", 1.0, -1024.0, False, None, "HU"),
        ("mg/mL", 1.0, -1024.0, False, None, "mg/mL"),
        ("mg/mL", 0.05, 0.0, False, None, "raw"),
        ("Doe^Jane", 0.05, 0.0, False, None, "raw"),
        ("mg/mL", 0.05, 0.0, False, "HU", "HU"),
    ],
)
def test_a_real_world_value_map_says_the_unit_where_it_is_the_rescale(series, unit, slope, intercept, strip, kind, wanted):
    _, [(volume, values)] = ingested(series(mapped(unit, slope, intercept, strip=strip, kind=kind)))
    assert volume.unit == wanted
    assert np.abs(values - truth(volume)).max() < 1
