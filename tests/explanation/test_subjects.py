from __future__ import annotations

import pytest

from data_contracts import ExplanationError, ExplanationRequest
from medkd.explanation.subjects import chosen

FOUND = ("liver, 90 voxels", "liver, 30 voxels", "cyst, 20 voxels")


def asked(**changes):
    return ExplanationRequest(explainers=(), **changes)


@pytest.mark.parametrize(
    ("changes", "places"), [({}, [0, 1, 2]), ({"most": 2}, [0, 1]), ({"most": 9}, [0, 1, 2]), ({"lesion": 3, "most": 1}, [2])]
)
def test_the_first_findings_are_explained_or_the_one_that_was_asked(changes, places):
    assert chosen(FOUND, asked(**changes)) == places


def test_a_finding_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ExplanationError, match=r"1 \(liver, 90 voxels\), 2 .*, got 4") as caught:
        chosen(FOUND, asked(lesion=4))
    assert caught.value.code == "LESION_UNKNOWN"


def test_where_nothing_was_found_nothing_is_unknown():
    assert chosen((), asked(lesion=4)) == []
