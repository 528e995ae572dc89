"""The earlier study inside a page."""

from __future__ import annotations

from medkd.review.grey_levels import levels_of
from medkd.review.page_prior import prior_data, prior_plane, slices_beside
from medkd.review.page_quality import QUALITIES


def test_slices_stand_beside_those_they_lie_in(report, prior):
    space = report.volume.geometry
    assert slices_beside(space, prior.report.volume.geometry) == list(range(12))
    rows = [list(row) for row in space.affine_lps_mm]
    for row in rows[:3]:
        row[3] += 3 * row[0]  # three slices further
    later = space.model_copy(update={"affine_lps_mm": tuple(map(tuple, rows))})
    assert slices_beside(space, later) == [-1, -1, -1, *range(9)]
    assert slices_beside(later, space) == [*range(3, 12), -1, -1, -1]


def test_the_prior_study_is_drawn_as_it_was_acquired(report, arrays, prior):
    levels = levels_of(arrays.volume, report.window, report.volume)
    found = prior_data(prior, report.volume.space, levels, QUALITIES[0])
    assert found["size"] == [20, 24]
    assert len(found["pictures"]) == 12
    assert set(found["outlines"]["student"]) == {"4", "5", "6"}
    assert prior_plane(prior, QUALITIES[0]).view.name == "axial"
