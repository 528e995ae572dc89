"""What is stored of a series names nobody."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from medkd.dicom.confidentiality.describe import describe_series
from tests.dicom.invented import volume


@pytest.mark.parametrize(("age", "years"), [("045Y", 45), ("101Y", 90), ("006M", None), ("", None)])
def test_ages_are_years_and_the_oldest_are_not_told_apart(age, years):
    header = Dataset()
    header.PatientAge, header.PatientSex = age, "F"
    assert describe_series(volume(), header, b"k").age_years == years


def test_a_record_holds_keys_and_numbers_and_no_free_text():
    header = Dataset()
    header.PatientSex, header.SeriesDescription, header.EchoTime = "F", "T1 for Dr. Doe", 5
    record = describe_series(volume(), header, b"k", "TemporalPositionIdentifier=2")
    assert (record.sex, record.age_years, record.acquisition) == ("F", None, "T1, TE 5 ms, time point 2")
    assert (record.patient_key, record.slices, record.volume_digest) == (volume().patient_key, 4, volume().array.sha256)
