from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Estimate, Scorecard, read_record

GOLDEN = Path(__file__).parent / "golden" / "scorecard_1.json"


@pytest.fixture
def card():
    kept = read_record(GOLDEN.read_bytes(), Scorecard)
    names = ("dice", "dice_liver", "dice_to_teacher", "agreement", "auc")
    figure = Estimate(mean=0.5, low=0.4, high=0.6, n=9)
    return kept.model_copy(update={"figures": dict.fromkeys(names, figure), "per_seed": dict.fromkeys(names, (0.5,))})


@pytest.mark.parametrize(
    ("left_out", "kept"),
    [
        (("agreement",), {"dice", "dice_liver", "dice_to_teacher", "auc"}),
        (("dice_to_teacher", "agreement"), {"dice", "dice_liver", "auc"}),
        (("dice",), {"agreement", "auc"}),
        ((), {"dice", "dice_liver", "dice_to_teacher", "agreement", "auc"}),
        (("au",), {"dice", "dice_liver", "dice_to_teacher", "agreement", "auc"}),
    ],
)
def test_a_figure_is_left_out_with_those_that_its_name_begins(card, left_out, kept):
    less = card.without(*left_out)
    assert set(less.figures) == set(less.per_seed) == kept
    assert set(card.figures) != kept or not left_out or left_out == ("au",)
