"""What the scripts of a page are given, and which quality of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medkd.review.page_data import centre_of, page_data
from medkd.review.page_quality import QUALITIES
from medkd.review.shown import StudyArrays, shown_in


def data_for(report, arrays, most=8 * 2**20):
    return page_data(report, arrays, None, most)


def test_a_small_study_is_held_whole(report, arrays):
    found = data_for(report, arrays)
    assert found.quality == QUALITIES[0]
    assert found.reduced == ()
    payload = found.payload
    assert {name: len(uris) for name, uris in payload["pictures"].items()} == {"axial": 12, "coronal": 40, "sagittal": 48}
    assert payload["views"]["coronal"]["places"] == list(range(40))
    assert payload["shape"] == [12, 40, 48]
    assert set(payload["outlines"]) == {"student", "teacher", "reference"}
    assert set(payload["outlines"]["student"]["axial"]) == {"3", "4", "5", "6"}


def test_positions_are_those_of_the_affine(report, arrays):
    payload, space = data_for(report, arrays).payload, report.volume.space
    axial, sagittal = payload["views"]["axial"], payload["views"]["sagittal"]
    assert (axial["along"], sagittal["along"]) == ("z", "x")
    assert float(axial["positions"][3]) == pytest.approx(space.position_lps_mm(3, 0, 0)[2], abs=0.05)
    assert float(sagittal["positions"][30]) == pytest.approx(space.position_lps_mm(0, 0, 30)[0], abs=0.05)


def test_less_is_held_where_less_fits_and_the_page_says_so(report, arrays):
    sizes = []
    for most in (8 * 2**20, 150_000, 60_000, 10_000):
        found = data_for(report, arrays, most)
        sizes.append(len(json.dumps(dict(found.payload))))
        assert bool(found.reduced) == (found.quality != QUALITIES[0])
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] <= 150_000
    assert data_for(report, arrays, 10_000).quality == QUALITIES[-1], "the last, even where it does not fit: the page is refused then"


def test_a_finding_is_shown_round_a_voxel_of_it_on_its_key_slice(report, arrays):
    (shown,) = shown_in(report)
    assert centre_of(shown, arrays, arrays.volume.shape) == (4, 14, 17)
    kept = dict(arrays.explained[0])
    ring = np.zeros_like(kept["mask/1"])
    ring[4, 10:21, 10:21] = 1
    ring[4, 12:19, 12:19] = 0
    slice_, row, column = centre_of(shown, StudyArrays(arrays.volume, ({**kept, "mask/1": ring},)), arrays.volume.shape)
    assert ring[slice_, row, column] == 1, "the middle of a ring is outside of it"
    assert centre_of(shown, StudyArrays(arrays.volume, ({},)), arrays.volume.shape) == (4, 20, 24)


def test_maps_are_held_where_the_focus_outside_is(report, arrays):
    focus = report.explanations[0].lesions[0].outside
    held = data_for(report, arrays).payload["heat"][0]["grad_cam"]["held"]
    assert focus.slice_index in held["axial"]
    assert focus.column in held["sagittal"]
