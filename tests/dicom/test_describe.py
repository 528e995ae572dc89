"""What is stored of a series names nobody."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from data_contracts import StoreManifest, load_record
from medkd.dicom.confidentiality.describe import describe_series


@pytest.mark.parametrize(("age", "years"), [("045Y", 45), ("101Y", 90), ("006M", None), ("", None)])
def test_ages_are_years_and_the_oldest_are_not_told_apart(age, years, ingested):
    volume = load_record(ingested[1] / "manifest.json", StoreManifest).volumes[0]
    header = Dataset()
    header.PatientAge, header.PatientSex = age, "F"
    assert describe_series(volume, header, b"k").age_years == years
