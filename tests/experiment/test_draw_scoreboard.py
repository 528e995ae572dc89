from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from data_contracts import Scoreboard, read_record
from medkd.experiment.draw_scoreboard import BAD, CONTROL, GOOD, PLAIN, _forest, _helps, draw_scoreboard

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "scoreboard_2.json"


@pytest.fixture
def board():
    kept = read_record(GOLDEN.read_bytes(), Scoreboard)
    figures = kept.arms["kd"]
    return kept.model_copy(update={"arms": dict.fromkeys(("alone", "kd", "kd_explanation", "hints", "kd_explanation__shuffled"), figures)})


def test_the_picture_is_the_same_for_the_same_board_and_grows_with_what_it_shows(board):
    picture = draw_scoreboard(board)
    assert picture.startswith(b"\x89PNG")
    assert picture == draw_scoreboard(board)
    bare = board.model_copy(update={"epoch_selections": {}, "pareto": None})
    assert len(draw_scoreboard(bare)) < len(picture)


def test_colours_tell_harm_controls_and_what_helps_beyond_chance(board):
    axes = Figure().subplots()
    names = sorted(board.arms)
    _forest(axes, board, names)
    marks = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert dict(zip(reversed(names), marks, strict=True)) == {
        "alone": PLAIN, "kd": PLAIN, "kd_explanation": GOOD, "hints": BAD, "kd_explanation__shuffled": CONTROL,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "helps"),
    [({}, True), ({"low": -0.1}, False), ({"p_holm": 0.2}, False), ({"b": "alone"}, False), ({"metric": "ece"}, False)],
)
def test_an_arm_helps_where_its_interval_against_soft_labels_is_above_zero_corrected(board, changes, helps):
    (one,) = board.comparisons
    changed = board.model_copy(update={"comparisons": (one.model_copy(update=changes),)})
    assert _helps(changed, "kd_explanation") is helps
    assert not _helps(changed, "kd")
