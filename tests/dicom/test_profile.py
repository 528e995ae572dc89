"""The profile says something of every attribute, and keeps none that nobody thought of."""

from __future__ import annotations

import pytest
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.tag import Tag

from medkd.dicom.confidentiality.profile import CHARACTERISTICS, DESCRIPTORS, Treatment, listed_tags, treat
from medkd.dicom.confidentiality.technical import TECHNICAL_TEXTS


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
        *TECHNICAL_TEXTS,
    }
    for tag, entry in DicomDictionary.items():
        vr, keyword = entry[0].split(" or ")[0], entry[4]
        if vr in texts and Tag(tag) not in listed and keyword not in allowed | DESCRIPTORS | CHARACTERISTICS | {"PatientName", "PatientID"}:
            assert treat(Tag(tag), vr) is Treatment.REMOVE, keyword


@pytest.mark.parametrize("tag", [0x00091001, 0x60003000, 0x60004000, 0x50001001, 0x00080000, 0x12345678])
def test_private_overlay_curve_length_and_unknown_attributes_are_removed(tag):
    assert treat(Tag(tag), "LO") is Treatment.REMOVE
