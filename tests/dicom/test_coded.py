"""Coded strings stay where they are terms, codes where their scheme is public."""

from __future__ import annotations

import re

import pydicom
import pytest
from pydicom import Dataset, Sequence

from medkd.dicom.confidentiality.coded import kept_code, kept_codes, kept_technical
from tests.dicom.published import said, written


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


@pytest.mark.parametrize(
    ("keyword", "values", "kept"),
    [
        ("BodyPartExamined", ["CHEST"], ["CHEST"]),
        ("BodyPartExamined", ["DOE"], None),
        ("BodyPartExamined", [""], [""]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "DOE", "AXIAL"], ["ORIGINAL", "PRIMARY", "", "AXIAL"]),
        ("ImageType", ["ORIGINAL", "PRIMARY", "DOE"], ["ORIGINAL", "PRIMARY"]),
        ("PatientOrientation", ["L", "PH"], ["L", "PH"]),
    ],
)
def test_values_that_are_no_terms_leave_their_places_to_the_others(keyword, values, kept):
    assert kept_codes(keyword, values, frozenset()) == kept


def test_a_term_that_is_part_of_a_name_goes_unless_it_says_what_the_object_is():
    assert kept_codes("BodyPartExamined", ["CHEST"], {"chest"}) is None
    assert kept_codes("ImageType", ["ORIGINAL", "PRIMARY"], {"primary"}) == ["ORIGINAL", "PRIMARY"]


@pytest.mark.parametrize(("value", "kept"), [("Br40d", "Br40d"), ("FC51", "FC51"), ("Room 4, Doe", None)])
def test_a_kernel_has_the_form_that_consoles_give_it(value, kept):
    assert kept_technical("ConvolutionKernel", value) == kept


def test_a_private_code_becomes_a_key_that_is_the_same_for_the_same():
    keys = [kept_code("CodeValue", value, "99DOE", b"k") for value in ("Jane", "Jane", "John")]
    assert keys[0] == keys[1] != keys[2]
    assert re.fullmatch(r"k[0-9a-f]{15}", keys[0])
    assert kept_code("CodeValue", "39607008", "SCT", b"k") == "39607008"
    assert kept_code("CodeValue", "Jane", "SCT", b"k") != "Jane"
