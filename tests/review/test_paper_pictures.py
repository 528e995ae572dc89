"""Pictures on paper: grey, map, outlines that can be told apart, and letters."""

from __future__ import annotations

import base64
import re

from medkd.review.paper_pictures import paper_findings
from medkd.review.texts import text_of
from tests.review.conftest import explained


def svg(picture):
    return base64.b64decode(picture.uri.split(",")[1]).decode()


def test_a_finding_has_its_slice_maps_planes_and_the_focus_outside(report, arrays):
    (found,) = paper_findings(report, arrays)
    captions = [text_of(one.caption, "en") for one in found.pictures]
    assert captions == [
        "axial, slice 5 of 12",
        "Student, slice 5 of 12",
        "Teacher, slice 5 of 12",
        "Student − teacher, slice 5 of 12",
        "coronal, slice 15 of 40",
        "sagittal, slice 18 of 48",
        "Student, largest attribution outside: slice 2 of 12",
    ]
    assert [svg(one).count("<image") for one in found.pictures] == [1, 2, 2, 2, 1, 1, 2]
    assert [svg(one).count("<circle") for one in found.pictures] == [0, 0, 0, 0, 0, 0, 1]


def test_outlines_differ_by_their_dashes_and_letters_stand_at_the_edges(report, arrays):
    plain = svg(paper_findings(report, arrays)[0].pictures[0])
    lines = re.findall(r"<path [^>]*>", plain)
    assert len(lines) == 3
    assert len({re.search(r"dasharray=.([\d. ]+)", line)[1] if "dasharray" in line else "" for line in lines}) == 3
    assert re.findall(r">([A-Z])</text>", plain) == ["R", "L", "A", "P"]
    coronal = svg(paper_findings(report, arrays)[0].pictures[4])
    assert re.findall(r">([A-Z])</text>", coronal) == ["R", "L", "S", "I"]


def test_a_study_without_a_finding_shows_its_middle(nothing_found, arrays):
    (found,) = paper_findings(nothing_found, arrays)
    assert found.label is None
    assert [text_of(one.caption, "en") for one in found.pictures] == ["axial, slice 7 of 12"]


def test_maps_that_failed_say_so(report, arrays, change):
    (found,) = paper_findings(change(report, failed=("randomisation",)), arrays)
    assert text_of(found.mark, "en") == "failed: randomisation"
    (found,) = paper_findings(explained(report, maps=()), arrays) or (None,)
    assert found.explainer == ""
