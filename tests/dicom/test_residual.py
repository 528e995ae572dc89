"""Names that are words, and words that are no names: what the scan must find, and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable

import pydicom
import pytest
from pydicom import Dataset, Sequence

from medkd.dicom.confidentiality.deidentify import OWN_SENTENCES
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.residual import find_residuals
from medkd.dicom.confidentiality.terms import all_terms, terms_of
from medkd.phantom.dicom_faults import write_case


def written(folder, change: Callable[[Dataset], None], case: str = "regular") -> list:
    """Write a phantom series with a change, de-identify it and return what was published."""
    for path in write_case(folder / "in", case):
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)
    deidentify_folder(DeidentifyRequest(folder / "in", folder / "out"), secret=b"s")
    return sorted((folder / "out").rglob("*.dcm"))


def said(dataset: Dataset) -> set[str]:
    """Return every value of an object but those that we write about our own work."""
    ours = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")
    found = set()
    for element in dataset:
        if element.keyword in ours:
            continue
        if element.VR == "SQ":
            found |= {text for item in element.value for text in said(item)}
        elif element.VR not in ("OB", "OW"):
            found |= {str(value) for value in ([element.value] if element.VM < 2 else element.value)}
    return found


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


# ---------------------------------------------------------------- coded strings


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("BodyPartExamined", "QUIXOTE", None),
        ("BodyPartExamined", "CHEST", "CHEST"),
        ("ContentLabel", "QUIXOTE", "REMOVED"),
        ("ContentLabel", "LUNG_QUIXOTE", "LUNG"),
        ("Modality", "QUIXOTE", "OT"),
        ("SequenceVariant", ["SP", "QUIXOTE"], "SP"),
        ("ScanOptions", ["QUIXOTE", "FS"], ["", "FS"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "QUIXOTE"], ["ORIGINAL", "PRIMARY"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "QUIXOTE", "AXIAL"], ["ORIGINAL", "PRIMARY", "", "AXIAL"]),
        ("PatientPosition", "QUIXOTE", None),
        ("LossyImageCompression", "QUIXOTE", None),
        ("SequenceName", "QUIXOTE", None),
        ("SequenceName", "*fl3d1_ns", "*fl3d1_ns"),
        ("SequenceName", "epfid2d1_64", "epfid2d1_64"),
        ("ConvolutionKernel", "QUIXOTE", None),
        ("ConvolutionKernel", ["Br40d", "3"], ["Br40d", "3"]),
        ("FilterType", "QUIXOTE", None),
        ("RescaleType", "QUIXOTE", "US"),
        ("RescaleType", "HU", "HU"),
    ],
)
def test_coded_strings_stay_where_they_are_terms(keyword, value, kept, tmp_path):
    paths = written(tmp_path, lambda dataset: setattr(dataset, keyword, value))
    assert paths
    dataset = pydicom.dcmread(paths[0])
    found = dataset.get(keyword)
    assert (list(found) if isinstance(kept, list) else found) == kept
    assert not [text for text in said(dataset) if "QUIXOTE" in text.upper()]


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        (("39607008", "SCT", "Lung"), ("39607008", "SCT", "Lung")),
        (("T-28000", "SRT", "Lung of QUIXOTE"), ("T-28000", "SRT", "Lung of")),
        (("113100", "DCM", "x"), ("113100", "DCM", "")),
        (("mm", "UCUM", "mm"), ("mm", "UCUM", "mm")),
        (("QUIXOTE", "SCT", "Lung"), (None, "SCT", "Lung")),
        (("QUIXOTE", "99QUIXOTE", "Lung"), (None, "99MEDKD", "Lung")),
        (("QUIXOTE", "QUIXOTE", "QUIXOTE"), (None, "99MEDKD", "")),
    ],
)
def test_codes_of_public_schemes_stay_and_others_become_keys(code, kept, tmp_path):
    def change(dataset):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
        item.CodingSchemeVersion = "QUIXOTE"
        dataset.AnatomicRegionSequence = Sequence([item])

    datasets = [pydicom.dcmread(path) for path in written(tmp_path, change)]
    items = [dataset.AnatomicRegionSequence[0] for dataset in datasets]
    assert {(item.CodingSchemeDesignator, item.CodeMeaning) for item in items} == {kept[1:]}
    values = {item.CodeValue for item in items}
    assert len(values) == 1
    assert values == {kept[0]} if kept[0] else values != {code[0]}
    assert not [text for text in said(datasets[0]) if "QUIXOTE" in text]


def test_the_table_of_terms_names_attributes_of_the_dictionary_and_terms_in_capitals():
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    from medkd.dicom.confidentiality.terms import _TERMS

    assert {dictionary_VR(tag_for_keyword(keyword)) for keyword in _TERMS} == {"CS"}
    assert not [term for term in all_terms() if term != term.upper() or len(term) > 16]
    assert {"CT", "MR", "SEG"} <= terms_of("Modality")
