from __future__ import annotations

import uuid

from pydicom.dataset import Dataset
from pydicom.uid import UID

from medkd.results.common import Identity, complete


def test_identifiers_follow_from_what_an_object_says_and_for_which_study():
    own = Identity("e" * 64, "1.2.3")
    assert own.uid("report") == Identity("e" * 64, "1.2.3").uid("report")
    others = {own.uid("report"), own.uid("reports"), Identity("e" * 64, "1.2.4").uid("report"), Identity("f" * 64, "1.2.3").uid("report")}
    assert len(others) == 4
    assert all(UID(one).is_valid and uuid.UUID(int=int(one.removeprefix("2.25."))).version == 5 for one in others)


def test_what_a_file_leaves_out_is_empty_and_what_it_says_stays():
    image = Dataset()
    image.PatientID = "P1"
    complete([image])
    assert image.PatientID == "P1"
    assert "PatientBirthDate" in image
    assert not image.PatientBirthDate
