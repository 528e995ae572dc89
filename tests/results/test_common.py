from __future__ import annotations

import uuid

from pydicom.uid import UID

from medkd.results.common import Identity


def test_identifiers_follow_from_what_an_object_says_and_for_which_study():
    own = Identity("e" * 64, "1.2.3")
    assert own.uid("report") == Identity("e" * 64, "1.2.3").uid("report")
    others = {own.uid("report"), own.uid("reports"), Identity("e" * 64, "1.2.4").uid("report"), Identity("f" * 64, "1.2.3").uid("report")}
    assert len(others) == 4
    assert all(UID(one).is_valid and uuid.UUID(int=int(one.removeprefix("2.25."))).version == 5 for one in others)
