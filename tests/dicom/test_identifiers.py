"""What identifies somebody is collected from all of an object before anything of it is decided."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from medkd.dicom.confidentiality.identifiers import collect_identifiers, plain_number, values_of
from tests.dicom.drawn import item


def test_names_numbers_and_uids_are_collected_at_any_depth_with_their_keyword():
    header = item(
        SeriesDescription="CT of Jane", PatientName="Doe-Miller^Jane", PatientID="004711815", StudyInstanceUID="1.2.3456.78",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedImageSequence=[item(InstitutionName="General Hospital")],
    )  # fmt: skip
    found = collect_identifiers(header)
    named = {text: keyword for text, keyword in found.originals.items() if keyword == "PatientName"}
    assert set(named) == {"Doe-Miller", "Doe", "Miller", "Jane"}
    assert found.originals["General Hospital"] == "InstitutionName"
    assert found.originals["1.2.3456.78"] == "StudyInstanceUID"
    assert not any(text.startswith("1.2.840.10008") for text in found.originals)
    assert {"doe", "miller", "jane", "4711815", "004711815", "general hospital"} <= found.words


def test_descriptions_and_private_attributes_identify_nobody_by_themselves():
    header = item(SeriesDescription="CT HEAD", Modality="CT")
    header.private_block(0x0011, "PRIVATE", create=True).add_new(1, "LO", "secret text")
    assert collect_identifiers(header).originals == {}
    assert collect_identifiers(Dataset()).words == frozenset()


@pytest.mark.parametrize(("text", "number"), [("+0047", "47"), ("47.00", "47"), ("47.5", "47.5"), (" 47 ", "47"), ("Doe", "doe")])
def test_a_number_is_the_same_however_it_is_written(text, number):
    assert plain_number(text) == number


def test_values_are_a_list_however_many_there_are():
    header = item(ImageType=["A", "B"], Modality="CT", PatientID=None)
    assert [values_of(header[name]) for name in ("ImageType", "Modality", "PatientID")] == [["A", "B"], ["CT"], [""]]
