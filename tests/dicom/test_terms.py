"""The table of terms is one of the dictionary's attributes."""

from __future__ import annotations

from medkd.dicom.confidentiality.terms import all_terms, terms_of


def test_the_table_of_terms_names_attributes_of_the_dictionary_and_terms_in_capitals():
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    from medkd.dicom.confidentiality.terms import _TERMS

    assert {dictionary_VR(tag_for_keyword(keyword)) for keyword in _TERMS} == {"CS"}
    assert not [term for term in all_terms() if term != term.upper() or len(term) > 16]
    assert {"CT", "MR", "SEG"} <= terms_of("Modality")
