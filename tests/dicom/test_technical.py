"""What says what a machine is stays, what says who was in it does not."""

from __future__ import annotations

import pytest

from medkd.dicom.confidentiality.technical import technical_text


@pytest.mark.parametrize(
    ("keyword", "value", "kept"),
    [
        ("ManufacturerModelName", "SOMATOM Definition AS+", "SOMATOM Definition AS+"),
        ("ManufacturerModelName", "LightSpeed16", "LightSpeed16"),
        ("ManufacturerModelName", "DISCOVERY MR750", "DISCOVERY MR750"),
        ("ManufacturerModelName", "Skyra of Mercer", "Skyra of"),
        ("ManufacturerModelName", "Skyra 48213377", "Skyra"),
        # A number that stands beside a name is no model.
        ("ManufacturerModelName", "Mercer 64", ""),
        ("ManufacturerModelName", "64", ""),
        ("SoftwareVersions", "syngo MR E11", "syngo MR E11"),
        ("SoftwareVersions", "V4.93ER004", "V4.93ER004"),
        ("SoftwareVersions", "48213377", ""),
        ("SoftwareVersions", "Mercer^Edith", ""),
        ("ReceiveCoilName", "8HRBRAIN", "8HRBRAIN"),
        ("ImagedNucleus", "1H", "1H"),
        ("ContrastBolusRoute", "IV", "IV"),
        ("ContrastBolusRoute", "IV by Mercer", "IV"),
        ("ReconstructionMethod", "OSEM 3D 3i24s", "OSEM 3D 3i24s"),
        ("ManufacturerModelName", "", ""),
    ],
)
def test_a_technical_text_stays_whole_or_as_the_words_that_are_known(keyword, value, kept):
    assert technical_text(keyword, value, frozenset()) == kept


def test_no_part_of_a_patients_name_or_number_stays_although_it_is_a_model():
    assert technical_text("ManufacturerModelName", "Skyra Prisma", frozenset({"prisma"})) == "Skyra"
    assert technical_text("SoftwareVersions", "E11", frozenset({"e11"})) == ""
