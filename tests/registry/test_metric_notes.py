"""What the metrics of a run are, said beside them."""

from __future__ import annotations

import pytest

from medkd.measures import hausdorff_95
from medkd.registry.metric_notes import experiment_note, metric_note
from tests.registry.scorecards import card


@pytest.mark.parametrize(
    ("name", "unit", "direction"),
    [
        ("dice", "", "higher is better"),
        ("dice_lesion", "", "higher is better"),
        ("dice_to_teacher", "", "higher is better"),
        ("hausdorff_95", "mm", "lower is better"),
        ("ece", "", "lower is better"),
        ("pointing", "", "higher is better"),
        ("train_seconds", "s", "lower is better"),
        ("cost_energy_wh", "Wh", "lower is better"),
        ("cost_peak_memory_mib", "MiB", "lower is better"),
        ("rate", "", ""),
    ],
)
def test_a_figure_has_its_unit_and_direction(name, unit, direction):
    note = metric_note(name)
    assert (note.unit, note.direction) == (unit, direction)


def test_a_named_figure_goes_before_the_measure_that_it_begins_with():
    assert metric_note("dice_to_teacher").text == "Dice of student and teacher"
    assert metric_note("dice_lesion") == metric_note("dice")
    assert metric_note("hausdorff_95_lesion").unit == hausdorff_95.UNIT


def test_nobody_says_what_an_unknown_figure_is():
    assert metric_note("frobnication") is None


def test_the_note_has_a_row_a_metric_that_is_known(recipe):
    note = experiment_note(recipe, [card("teacher", dice=0.9), card("kd", dice=0.8, frobnication=1.0)])
    rows = [line.split("|")[1].strip() for line in note.splitlines() if line.startswith("| `")]
    assert [row for row in rows if "cost_" not in row] == ["`dice`", "`loss`", "`seconds`", "`train_seconds`"]
    assert {"`cost_cpu_seconds`", "`cost_energy_wh`", "`cost_peak_memory_mib`"} < set(rows)
    assert recipe.description in note
    assert "Research use only" in note
