"""Scorecards as a picture: bars are as long as their figures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from medkd.registry.draw_scorecards import MOST_SHOWN, SHOWN, draw_scorecards
from tests.registry.scorecards import card

STUDENT_BLUE, TEACHER_GREY = (33, 102, 172), (120, 120, 120)


def pixels(payload):
    with Image.open(io.BytesIO(payload)) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def longest_run(picture, colour):
    """Return how many columns a colour is in."""
    return int((picture == colour).all(-1).any(0).sum())


def test_a_bar_is_as_long_as_its_figure():
    # Both panels go from 0 to 1: one that ends below .5 would end at its largest bound.
    long, short = (longest_run(pixels(draw_scorecards("r", [card("kd", dice=mean)])), STUDENT_BLUE) for mean in (0.8, 0.45))
    assert abs(long / short - 0.8 / 0.45) < 0.05


def test_the_teacher_has_another_colour():
    assert longest_run(pixels(draw_scorecards("r", [card("teacher", dice=0.8)])), STUDENT_BLUE) == 0
    assert longest_run(pixels(draw_scorecards("r", [card("teacher", dice=0.8)])), TEACHER_GREY) > 100


def test_a_panel_a_figure_and_no_more_than_are_shown():
    one, four, all_of_them = (
        pixels(draw_scorecards("r", [card("kd", **dict.fromkeys(SHOWN[:count], 0.5))])).shape[0] for count in (1, 4, len(SHOWN))
    )
    most = pixels(draw_scorecards("r", [card("kd", **dict.fromkeys(SHOWN[:MOST_SHOWN], 0.5))])).shape[0]
    assert one < four < all_of_them == most


def test_seeds_are_dots_and_one_without_a_value_has_none():
    plain, dotted, half = (
        draw_scorecards("r", [card("kd", own, seeds=2, dice=0.5)]) for own in ({}, {"dice": (0.3, 0.7)}, {"dice": (0.3, None)})
    )
    assert len({plain, dotted, half}) == 3
    assert draw_scorecards("r", [card("kd", {"dice": (None, None)}, seeds=2, dice=0.5)]) == plain


def test_without_figures_and_below_zero_it_is_a_picture_all_the_same():
    assert pixels(draw_scorecards("r", [card("kd")])).size
    assert longest_run(pixels(draw_scorecards("r", [card("kd", agreement=-0.5)])), STUDENT_BLUE) > 50
