"""Names that are words, and words that are no names: what the scan must find, and what it must leave alone."""

from __future__ import annotations

import pydicom
import pytest
from pydicom import Dataset, Sequence

from medkd.dicom.confidentiality.deidentify import OWN_SENTENCES
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.residual import find_residuals
from medkd.phantom.dicom_faults import write_case
from tests.dicom.published import written


def words_of_ours() -> list[str]:
    words = {word for sentence in OWN_SENTENCES for word in sentence.replace(",", "").split() if len(word) > 2}
    return sorted(words | {"Removed", "Medkd", "Yes", "Iso", "Ion", "Ali", "Tai", "Ada", "Abe", "Bea", "Dee", "Fae", "Ace", "Dad"})


@pytest.fixture(scope="module")
def one_slice(tmp_path_factory):
    return pydicom.dcmread(write_case(tmp_path_factory.mktemp("slice"), "regular")[0])


@pytest.mark.parametrize("form", ["{0}^Zwick", "ZWICK^{1}", "{1}^{0}"])
def test_a_study_is_published_whatever_word_of_ours_its_patient_is_called(form, one_slice, tmp_path):
    words = words_of_ours()
    for number, word in enumerate(words):
        one_slice.PatientName, one_slice.PatientID = form.format(word, word.upper()), f"ID-{number:04d}"
        one_slice.StudyInstanceUID, one_slice.SOPInstanceUID = f"1.2.3.4.{number + 1}", f"1.2.3.4.5.{number + 1}"
        one_slice.SeriesInstanceUID = one_slice.FrameOfReferenceUID = f"1.2.3.4.6.{number + 1}"
        one_slice.file_meta.MediaStorageSOPInstanceUID = one_slice.SOPInstanceUID
        one_slice.PixelData = bytes([number, 0]) + one_slice.PixelData[2:]  # no two patients have the same image
        (tmp_path / "in").mkdir(exist_ok=True)
        one_slice.save_as(tmp_path / "in" / f"{number}.dcm")
    report = deidentify_folder(DeidentifyRequest(tmp_path / "in", tmp_path / "out"), secret=b"s")
    assert report.codes() == {}
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(words)


@pytest.mark.parametrize(
    ("name", "attribute", "value", "left"),
    [
        ("PHILIPS^EMMA", "Manufacturer", "Philips Medical Systems", "Medical Systems"),
        ("CHEST^EVA", "BodyPartExamined", "CHEST", None),
        ("HEAD^EVA", "SeriesDescription", "CT HEAD axial", "CT axial"),
        ("Lung-Meier^Ann", "SeriesDescription", "CT lung", "CT"),
        ("O'Head^Ann", "SeriesDescription", "CT head", "CT"),
        ("山田=Neck^Ann", "SeriesDescription", "CT neck", "CT"),
        ("MPR^EVA", "ImageType", ["DERIVED", "PRIMARY", "AXIAL", "MPR"], ["DERIVED", "PRIMARY", "AXIAL"]),
        ("PRIMARY^EVA", "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "AXIAL"]),
        ("STANDARD^EVA", "ConvolutionKernel", "STANDARD", None),
    ],
)
def test_what_the_patients_name_is_part_of_goes_and_the_study_is_published(name, attribute, value, left, tmp_path):
    def change(dataset):
        dataset.PatientName = name
        setattr(dataset, attribute, value)

    paths = written(tmp_path, change)
    assert paths
    found = pydicom.dcmread(paths[0]).get(attribute)
    assert (list(found) if isinstance(left, list) else found) == left


@pytest.mark.parametrize("number", ["10000", "00010000", "47118"])
def test_numbers_that_hold_an_identifier_are_measurements_and_one_that_repeats_it_goes(number, tmp_path):
    def change(dataset):
        dataset.PatientID, dataset.SeriesNumber = number, int(number)
        dataset.ReconstructionDiameter, dataset.KVP = f"3{number}.5", "0." + number

    paths = written(tmp_path, change)
    assert paths
    dataset = pydicom.dcmread(paths[0])
    assert "SeriesNumber" not in dataset
    assert float(dataset.ReconstructionDiameter) == float(f"3{number}.5")


def example(**values) -> bytes:
    """Return the bytes of an object that holds these values."""
    dataset, item = Dataset(), Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "2.25.123456789012345678901234567890"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    nested = values.pop("nested", None)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    if nested:
        item.CodeMeaning = nested
        inner = Dataset()
        inner.ConceptNameCodeSequence = Sequence([item])
        dataset.ReferencedImageSequence = Sequence([inner])
    buffer = pydicom.filebase.DicomBytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("values", "original"),
    [
        ({"SeriesDescription": "CT of Ali"}, "Ali"),
        ({"SeriesDescription": "ALI_HASSAN"}, "Ali"),
        ({"SeriesDescription": "x-ali-1"}, "Ali"),
        ({"nested": "Tumor of Ion"}, "Ion"),
        ({"BodyPartExamined": "TAI"}, "Tai"),
        ({"RequestAttributesSequence": []} | {"StationName": "PATIENT"}, "Patient"),
        ({"SeriesDescription": "Muellerschmidtx"}, "Muellerschmidt"),
        ({"SeriesDescription": "患者山田の"}, "山田"),
        ({"SeriesDescription": "von müller"}, "Müller"),
        ({"SeriesDescription": "Παπαδοπουλου"}, "Παπαδοπουλου"),
        ({"StudyID": "4711815"}, "4711815"),
        ({"SeriesDescription": "no 4711815."}, "4711815"),
        ({"SeriesNumber": 4711815}, "4711815"),
        ({"StudyInstanceUID": "1.2.3456.7"}, "1.2.3456.7"),
        ({"PatientComments": "born 19600101"}, "19600101"),
    ],
)
def test_a_whole_word_is_found_wherever_it_stands(values, original):
    assert find_residuals(example(**values), {original: "PatientName"})


@pytest.mark.parametrize(
    ("values", "original"),
    [
        ({"SeriesDescription": "alignment"}, "Ali"),
        ({"SeriesDescription": "junction"}, "Ion"),
        ({"PatientName": "p0ada4711815dead9"[:17]}, "Ada"),
        ({"ImageType": ["ORIGINAL", "PRIMARY"]}, "Primary"),
        ({"Modality": "CT", "PatientIdentityRemoved": "YES"}, "Yes"),
        ({"SliceLocation": "147118.5"}, "47118"),
        ({"SliceLocation": "0.47118"}, "47118"),
        ({"SeriesDescription": "head"}, "Adhead"),
    ],
)
def test_pieces_of_words_keys_and_numbers_are_no_find(values, original):
    assert find_residuals(example(**values), {original: "PatientName"}) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "iso8859_7", "iso2022_jp", "euc_kr", "gb18030", "shift_jis", "iso8859_5"])
def test_a_name_in_bytes_of_any_character_set_is_found(encoding):
    name = {"latin-1": "Größe", "iso8859_7": "Διονυσιος", "iso8859_5": "Иванов", "euc_kr": "길동홍", "utf-8": "Łukasz"}.get(
        encoding, "山田太郎"
    )
    payload = example(SeriesDescription="CT", EncapsulatedDocument=(b"x " + name.encode(encoding)).ljust(40))
    assert find_residuals(payload, {name: "PatientName"}) == {"PatientName": "in the header"}


def test_the_scan_finds_what_would_be_left_in_any_spelling():
    originals = {"Müller": "PatientName", "4711815": "PatientID", "山田": "PatientName"}
    assert find_residuals(b"nothing here", originals) == {}
    assert find_residuals("x MÜLLER".lower().encode("latin-1"), {"müller": "PatientName"}) == {"PatientName": "in the header"}
    assert find_residuals("山田".encode("iso2022_jp"), originals) == {"PatientName": "in the header"}
    assert find_residuals(b"header" + b"...4711815...", originals, pixels_from=6) == {"PatientID": "in the pixel data"}
    assert find_residuals(b"2.25.123471181512341234123412341234", originals) == {}
