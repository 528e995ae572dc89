"""Steps of quality: each holds no more than the one before, and says what it leaves out."""

from __future__ import annotations

from itertools import pairwise

from medkd.review.page_quality import QUALITIES
from medkd.review.texts import LANGUAGES


def test_each_step_holds_no_more_than_the_one_before():
    for better, less in pairwise(QUALITIES):
        assert better != less
        for name in ("edge", "plane_edge", "heat_edge", "heat_reach", "heat_planes"):
            assert getattr(less, name) <= getattr(better, name), name
        assert (less.loss or 0) <= (better.loss or 100)


def test_a_page_that_holds_everything_says_nothing():
    assert QUALITIES[0].said(1, (1, 1)) == []


def test_what_is_left_out_is_said_in_every_language():
    said = QUALITIES[4].said(2, (2, 4))
    assert [said.key for said in said] == ["quality.lossy", "quality.reduced", "quality.planes", "quality.heat_reduced"]
    assert "2 × 2" in said[1].text("en")
    assert "8 slices to each side" in said[1].text("en")
    assert all("4 × 4" in said[3].text(language) for language in LANGUAGES)
    assert "no slice is held" in QUALITIES[-1].said(2, (1, 1))[1].text("en")
