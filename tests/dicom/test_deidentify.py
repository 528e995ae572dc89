from __future__ import annotations

import stat
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, Sequence, dcmread
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.tag import Tag

from data_contracts import StoreManifest, load_record
from medkd.dicom.confidentiality.dates import DateShift
from medkd.dicom.confidentiality.deidentify import characteristic, deidentify
from medkd.dicom.confidentiality.describe import describe_series
from medkd.dicom.confidentiality.profile import CHARACTERISTICS, DESCRIPTORS, Treatment, listed_tags, treat
from medkd.dicom.confidentiality.residual import find_residuals
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.dicom.confidentiality.vocabulary import VOCABULARY
from medkd.dicom.confidentiality.words import clean_text
from medkd.phantom.dicom_faults import write_case


def test_a_pseudonym_is_the_same_for_the_same_and_another_for_another():
    assert pseudonym(b"k", "patient", "A") == pseudonym(b"k", "patient", "A")
    keys = {pseudonym(s, k, i) for s in (b"k", b"l") for k in ("patient", "study") for i in ("A", "B")}
    assert len(keys) == 8
    assert all("A" not in key[1:].upper().replace("A", "") for key in keys)


def test_the_secret_of_the_site_is_made_once_and_only_its_owner_can_read_it(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("MEDKD_SECRET")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    first, second = site_secret(), site_secret()
    path = tmp_path / "medkd" / "secret"
    assert first == second
    assert len(first) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert caplog.text.count("made a new pseudonym secret") == 1
    assert first.decode() not in caplog.text


def test_a_given_secret_wins(monkeypatch):
    monkeypatch.setenv("MEDKD_SECRET", "given")
    assert site_secret() == b"given"


@pytest.mark.parametrize(("age", "years"), [("045Y", 45), ("101Y", 90), ("006M", None), ("", None)])
def test_ages_are_years_and_the_oldest_are_not_told_apart(age, years, ingested):
    volume = load_record(ingested[1] / "manifest.json", StoreManifest).volumes[0]
    header = Dataset()
    header.PatientAge, header.PatientSex = age, "F"
    assert describe_series(volume, header, b"k").age_years == years


# ---------------------------------------------------------------- the profile


def test_the_profile_says_something_about_every_attribute_of_the_dictionary():
    tags = [Tag(tag) for tag in DicomDictionary]
    assert all(isinstance(treat(tag, DicomDictionary[tag][0].split(" or ")[0]), Treatment) for tag in tags)


def test_no_attribute_of_the_table_is_kept_as_it_is():
    kept = []
    for tag in listed_tags():
        vr = DicomDictionary.get(tag, ("LO",))[0].split(" or ")[0]
        if treat(tag, vr) in (Treatment.KEEP, Treatment.RECURSE):
            kept.append(keyword_for_tag(tag))
    # Two sequences stay, their references remapped: images and labels would lose each other.
    assert sorted(kept) == ["ReferencedImageSequence", "SourceImageSequence"]


def test_free_text_that_the_table_does_not_know_is_removed_unless_a_rule_names_it():
    listed = set(listed_tags())
    texts = {"LO", "SH", "ST", "LT", "UT", "UC", "UR", "PN", "AE", "UN"}
    allowed = {
        "CodeValue",
        "CodingSchemeDesignator",
        "CodingSchemeVersion",
        "RescaleType",
        "FilterType",
        "ConvolutionKernel",
        "SequenceName",
    }
    for tag, entry in DicomDictionary.items():
        vr, keyword = entry[0].split(" or ")[0], entry[4]
        if vr in texts and Tag(tag) not in listed and keyword not in allowed | DESCRIPTORS | CHARACTERISTICS | {"PatientName", "PatientID"}:
            assert treat(Tag(tag), vr) is Treatment.REMOVE, keyword


@pytest.mark.parametrize("tag", [0x00091001, 0x60003000, 0x60004000, 0x50001001, 0x00080000, 0x12345678])
def test_private_overlay_curve_length_and_unknown_attributes_are_removed(tag):
    assert treat(Tag(tag), "LO") is Treatment.REMOVE


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


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("CT ABDOMEN W CONTRAST Dr. Miller", "CT ABDOMEN CONTRAST"),
        ("t1_mprage_sag 1.5 mm John 4711", "t1 mprage sag 1.5 mm"),
        ("HEAD of Mr Head", "of Mr"),
        ("", ""),
        ("19500515", ""),
    ],
)
def test_descriptions_keep_the_words_of_the_vocabulary_and_no_part_of_a_name(text, cleaned):
    assert clean_text(text, frozenset({"head"})) == cleaned


def test_the_vocabulary_holds_no_word_that_is_a_common_surname():
    surnames = {
        "smith",
        "jones",
        "brown",
        "young",
        "miller",
        "king",
        "wright",
        "hill",
        "green",
        "long",
        "small",
        "white",
        "black",
        "gray",
        "bone",
    }
    # Radiology needs a few; a patient's own name is taken out of every description before.
    assert surnames & VOCABULARY == {"long", "small", "bone"}


# ---------------------------------------------------------------- dates


@settings(max_examples=80, deadline=None)
@given(
    st.datetimes(datetime(1930, 1, 1), datetime(2090, 1, 1)), st.datetimes(datetime(1930, 1, 1), datetime(2090, 1, 1)), st.text(max_size=8)
)
def test_intervals_of_one_patient_survive_the_shift(first, second, patient):
    shift = DateShift(b"k", patient)

    def moved(moment):
        date, time = shift.pair(moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f"))
        return datetime.strptime(date + time, "%Y%m%d%H%M%S.%f")

    assert moved(first) - moved(second) == first - second
    assert 365 <= (first - moved(first)).days + 1 <= 3651
    assert shift.datetime(first.strftime("%Y%m%d%H%M%S.%f")) == moved(first).strftime("%Y%m%d%H%M%S.%f")


def test_patients_move_by_amounts_of_their_own_and_secrets_too():
    moved = {DateShift(secret, patient).date("20200229") for secret in (b"a", b"b") for patient in ("1", "2", "3")}
    assert len(moved) == 6


@pytest.mark.parametrize("value", ["2020", "20201301", "20200230", "today", "99999999"])
def test_what_is_no_date_is_dropped(value):
    assert DateShift(b"k", "p").date(value) is None


@pytest.mark.parametrize(("value", "length"), [("101112", 6), ("1011", 6), ("10", 6), ("101112.123456", 13), ("10:11:12", 6)])
def test_times_keep_their_form(value, length):
    moved = DateShift(b"k", "p").time(value)
    assert len(moved) == length
    assert moved[:6] != value.replace(":", "").ljust(6, "0")[:6]


# ---------------------------------------------------------------- datasets


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


def test_the_scan_finds_what_would_be_left_in_any_spelling():
    originals = {"Müller": "PatientName", "4711815": "PatientID", "山田": "PatientName"}
    assert find_residuals(b"nothing here", originals) == {}
    assert find_residuals("x MÜLLER".lower().encode("latin-1"), {"müller": "PatientName"}) == {"PatientName": "in the header"}
    assert find_residuals("山田".encode("iso2022_jp"), originals) == {"PatientName": "in the header"}
    assert find_residuals(b"header" + b"...4711815...", originals, pixels_from=6) == {"PatientID": "in the pixel data"}
    assert find_residuals(b"2.25.123471181512341234123412341234", originals) == {}


# ---------------------------------------------------------------- any dataset

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
