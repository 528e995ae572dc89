"""A dataset without what identifies anybody, at any depth."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, dcmread
from pydicom.datadict import DicomDictionary

from medkd.dicom.confidentiality.deidentify import characteristic, deidentify
from medkd.dicom.confidentiality.residual import find_residuals
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.phantom.dicom_faults import write_case


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("PatientSex", "F", "F"),
        ("PatientSex", "Jane", None),
        ("PatientAge", "045Y", "045Y"),
        ("PatientAge", "107Y", "090Y"),
        ("PatientAge", "Doe", None),
        ("PatientWeight", "71.5", "71.5"),
        ("PatientWeight", "4711815", None),
        ("SmokingStatus", "YES", "YES"),
        ("SmokingStatus", "DOE", None),
    ],
)
def test_characteristics_stay_when_they_are_characteristics(keyword, value, kept):
    assert characteristic(keyword, value) == kept


def example() -> Dataset:
    dataset = Dataset()
    dataset.file_meta = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Doe^Jane", "4711815", "19500515"
    dataset.StudyDate, dataset.StudyTime, dataset.SeriesDate = "20200301", "235959", "20200301"
    dataset.StudyInstanceUID, dataset.SOPInstanceUID, dataset.SOPClassUID = "1.2.3.4", "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.2"
    dataset.SeriesDescription, dataset.SeriesNumber = "CT HEAD Doe", "4711815"
    dataset.BodyPartExamined, dataset.Modality, dataset.KVP = "HEAD", "CT", "120"
    item = Dataset()
    item.PatientID, item.ReferencedSOPInstanceUID, item.InstitutionName = "4711815", "1.2.3.4.6", "General Hospital"
    dataset.ReferencedImageSequence = Sequence([item])
    dataset.private_block(0x0029, "SECRET", create=True).add_new(1, "LO", "Doe")
    dataset.is_implicit = False
    return dataset


@pytest.fixture
def clean():
    dataset = example()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    return deidentify(dataset, b"k").dataset


def test_what_identifies_goes_and_what_measures_stays(clean):
    assert clean.PatientID == clean.PatientName == pseudonym(b"k", "patient", "4711815")
    assert clean.PatientBirthDate == ""
    assert clean.SeriesDescription == "CT HEAD"
    assert (clean.BodyPartExamined, clean.Modality, clean.KVP) == ("HEAD", "CT", 120)
    assert "InstitutionName" not in clean.ReferencedImageSequence[0]
    assert not [element for element in clean if element.tag.is_private]


def test_a_number_that_repeats_the_patients_is_an_identifier_too(clean):
    assert "SeriesNumber" not in clean


def test_uids_are_remapped_alike_over_a_cohort_and_standard_ones_stay(clean):
    other = example()
    other.file_meta.TransferSyntaxUID, other.SOPInstanceUID = "1.2.840.10008.1.2.1", "1.2.3.4.6"
    second = deidentify(other, b"k").dataset
    assert clean.StudyInstanceUID == second.StudyInstanceUID
    assert clean.ReferencedImageSequence[0].ReferencedSOPInstanceUID == second.SOPInstanceUID
    assert clean.StudyInstanceUID.startswith("2.25.")
    assert clean.SOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert clean.file_meta.MediaStorageSOPInstanceUID == clean.SOPInstanceUID
    assert deidentify(other, b"another").dataset.StudyInstanceUID != second.StudyInstanceUID


def test_dates_of_one_day_stay_one_day_although_only_one_has_a_time(clean):
    """23:59:59 moves over midnight; the series date without a time must move with it."""
    assert clean.StudyDate == clean.SeriesDate
    assert clean.StudyDate not in ("20200301", "")


def test_what_was_done_is_written_down(clean):
    codes = [item.CodeValue for item in clean.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113105", "113107", "113108"]
    assert clean.PatientIdentityRemoved == "YES"
    assert clean.LongitudinalTemporalInformationModified == "MODIFIED"


_NAMES = st.sampled_from(
    ["Doe^Jane", "Grübel^Zoë", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Hong^Gildong=洪^吉洞=홍^길동", "Διονυσιος^Π", "قباني^لنزار"]
)


_TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\\^="), min_size=5, max_size=12)


_BY_VR = {
    "PN": _NAMES,
    "LO": _TEXT,
    "SH": _TEXT,
    "LT": _TEXT,
    "ST": _TEXT,
    "UT": _TEXT,
    "UC": _TEXT,
    "AE": st.just("AET-4711"),
    "UR": st.just("http://hospital/4711"),
    "CS": st.just("CODE_1"),
    "AS": st.just("044Y"),
    "DA": st.dates(datetime(1950, 1, 1).date(), datetime(2030, 1, 1).date()).map(lambda d: d.strftime("%Y%m%d")),
    "DT": st.just("20200101101112.5"),
    "TM": st.just("101112"),
    "UI": st.integers(1, 10**9).map(lambda n: f"1.2.3.{n}"),
    "DS": st.floats(-1e4, 1e4).map(lambda v: f"{v:.3f}"),
    "IS": st.integers(-9999, 9999).map(str),
    "US": st.integers(0, 65535),
    "SS": st.integers(-32768, 32767),
    "UL": st.integers(0, 2**32 - 1),
    "SL": st.integers(-(2**31), 2**31 - 1),
    "FL": st.floats(-1e3, 1e3, width=32),
    "FD": st.floats(-1e3, 1e3),
    "AT": st.just(0x00100010),
    "OB": st.binary(min_size=2, max_size=8).map(lambda b: b[: len(b) // 2 * 2]),
    "OW": st.just(b"\1\2\3\4"),
    "UN": st.just(b"4711"),
}


_TAGS = [
    (tag, entry[0])
    for tag, entry in sorted(DicomDictionary.items())
    if entry[0] in _BY_VR and not entry[3] and tag >> 16 not in (0, 2, 0x7FE0, 0xFFFE, 0x0028) and entry[1] == "1"
]


_SEQUENCES = [tag for tag, entry in sorted(DicomDictionary.items()) if entry[0] == "SQ" and not entry[3]]


@st.composite
def datasets(draw, depth=0):
    dataset = Dataset()
    for tag, vr in draw(st.lists(st.sampled_from(_TAGS), max_size=12)):
        dataset.add_new(tag, vr, draw(_BY_VR[vr]))
    if depth < 3:
        for tag in draw(st.lists(st.sampled_from(_SEQUENCES), max_size=2)):
            dataset.add_new(tag, "SQ", Sequence(draw(st.lists(datasets(depth=depth + 1), max_size=2))))
    if draw(st.booleans()):
        dataset.private_block(0x0011, "PRIVATE", create=True).add_new(1, "LO", "secret text")
    return dataset


def _everything(dataset):
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _everything(item)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_of_any_nested_dataset_no_name_text_or_private_attribute_is_left(dataset):
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.3.9"
    dataset.file_meta = Dataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    result = deidentify(dataset, b"k")
    assert dataset.SOPInstanceUID == "1.2.3"
    for element in _everything(result.dataset):
        assert not element.tag.is_private
        if element.VR == "PN":
            assert element.keyword == "PatientName" or str(element.value) in ("", "Removed")
        if element.VR == "UI" and element.keyword not in ("SOPClassUID",):
            assert all(
                str(v).startswith(("2.25.", "1.2.840.10008.")) or not str(v) for v in ([element.value] if element.VM < 2 else element.value)
            )
    # Values only: names of attributes are words, and what we say of our own work is.
    del result.dataset.DeidentificationMethodCodeSequence, result.dataset.DeidentificationMethod
    written = "\n".join(str(element.value) for element in _everything(result.dataset) if element.VR != "SQ").encode()
    assert find_residuals(written, {k: v for k, v in result.originals.items() if not k[:8].isdigit()}) == {}


def test_file_meta_and_preamble_are_made_anew(tmp_path):
    path = write_case(tmp_path, "regular")[0]
    dataset = dcmread(path)
    dataset.preamble, dataset.file_meta.SourceApplicationEntityTitle = b"Jane Doe".ljust(128), "DOESTATION"
    result = deidentify(dataset, b"k").dataset
    assert result.preamble == bytes(128)
    assert "SourceApplicationEntityTitle" not in result.file_meta
    assert result.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID
