from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import ForeignSource, MonaiClass, Network, TeacherDescription, read_record

GOLDEN = Path(__file__).parent / "golden"


def test_a_source_says_whether_its_patients_are_known():
    source = read_record((GOLDEN / "foreign_source_1.json").read_bytes(), ForeignSource)
    assert not source.training_patients_known
    with pytest.raises(ValueError, match="members"):
        ForeignSource.model_validate({**source.model_dump(), "members": 0})


@pytest.mark.parametrize("orientation", ["RAS", "SPL", "AIR"])
def test_an_orientation_has_a_letter_for_each_axis(orientation):
    assert TeacherDescription(orientation=orientation).orientation == orientation


@pytest.mark.parametrize("orientation", ["RRS", "RLS", "RA", "XYZ", "ras"])
def test_another_orientation_is_refused(orientation):
    with pytest.raises(ValueError, match=r"orientation|axis of the patient"):
        TeacherDescription(orientation=orientation)


def test_a_teacher_has_one_network():
    with pytest.raises(ValueError, match="got both"):
        TeacherDescription(network=Network(builder="unet"), monai=MonaiClass(name="UNet"))
    with pytest.raises(ValueError, match="name"):
        MonaiClass(name="os.system")
