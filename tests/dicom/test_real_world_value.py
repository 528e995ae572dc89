"""A real-world value map gives the unit where it is the rescale."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset, Sequence

from medkd.dicom.real_world_value import real_world_value_map
from tests.dicom.drawn import coded, item
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


def value_map(unit="mg/mL", slope=(0.5,), intercept=(1.0,)):
    one = item(MeasurementUnitsCodeSequence=[coded(unit, unit, "UCUM")] if unit else [])
    for tag, value in ((0x00409225, slope), (0x00409224, intercept)):
        one.add_new(tag, "FD", list(value) if len(value) != 1 else value[0])
    return one


def of(*maps):
    return real_world_value_map((item(), item(RealWorldValueMappingSequence=list(maps))))


@pytest.mark.parametrize(("unit", "said"), [("[hnsf'U]", "HU"), ("mg/mL", "mg/mL"), ("Doe^Jane", "raw")])
def test_a_unit_is_a_known_code_or_raw(unit, said):
    assert of(value_map(unit)) == (said, 0.5, 1.0)


@pytest.mark.parametrize(
    "maps", [(), (value_map(), value_map()), (value_map(""),), (value_map(slope=()),), (value_map(slope=(float("inf"),)),)]
)
def test_none_or_several_or_unfinished_maps_are_none(maps):
    assert of(*maps) is None
