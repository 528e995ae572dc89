"""Folds by a column or drawn: every patient is tested once, and never by networks that saw them."""

from __future__ import annotations

import pytest

from data_contracts import DataError, FoldChoice, RecipeError
from medkd.cohorts.case_table import in_fold, named_parts
from medkd.experiment.fold_recipes import fold_recipes
from tests.flows.recording import golden_recipe

PEOPLE = [f"p{row // 2}" for row in range(40)]
STRATA = [row // 2 % 2 for row in range(40)]


@pytest.fixture
def recipe(tmp_path):
    lines = ["ID,patient,label,split,kFold"] + [
        f"x{row},p{row // 2},benign,{'val' if row < 8 else 'train'},{row // 2 % 4 + 1}" for row in range(40)
    ]
    (tmp_path / "clinic").mkdir()
    (tmp_path / "clinic" / "cases.csv").write_text("\n".join(lines))
    data = {"kind": "image_folder", "path": "clinic", "part_column": "split", "validation_values": ["val"]}
    given = golden_recipe("rr")
    return type(given).model_validate({**given.model_dump(), "data": data})


def test_drawn_folds_part_patients_and_balance_classes():
    folds = [in_fold(PEOPLE, STRATA, [""] * 40, FoldChoice(number=number, of=5)) for number in range(5)]
    assert [sum(column) for column in zip(*folds, strict=True)] == [1] * 40
    for fold in folds:
        inside = {person for person, held in zip(PEOPLE, fold, strict=True) if held}
        assert not inside & {person for person, held in zip(PEOPLE, fold, strict=True) if not held}
        assert sum(stratum for stratum, held in zip(STRATA, fold, strict=True) if held) == 4


def test_a_column_decides_and_must_agree(recipe, tmp_path):
    folds = fold_recipes(recipe, 4, tmp_path, hold_out=False)
    assert [one.data.fold.value for one in folds] == ["1", "2", "3", "4"]
    assert [one.name for one in folds] == [f"rr-fold{number}" for number in range(4)]
    assert named_parts([{"kFold": "3", "split": "val"}], folds[0].data) == ["3"]
    with pytest.raises(RecipeError, match=r"'kFold' has 4.*--folds 4") as caught:
        fold_recipes(recipe, 5, tmp_path, hold_out=False)
    assert caught.value.code == "FOLDS_COLUMN"


def test_the_validation_part_can_be_held_out_of_all_folds(recipe, tmp_path):
    folds = fold_recipes(recipe, 4, tmp_path, hold_out=True)
    assert all(one.data.where == {"split": "train"} for one in folds)
    without = recipe.model_copy(update={"data": recipe.data.model_copy(update={"part_column": None})})
    with pytest.raises(RecipeError, match="part_column") as caught:
        fold_recipes(without, 4, tmp_path, hold_out=True)
    assert caught.value.code == "FOLDS_HELD_OUT"


def test_without_a_column_folds_are_drawn(recipe, tmp_path):
    table = tmp_path / "clinic" / "cases.csv"
    table.write_text(table.read_text().replace("kFold", "other"))
    assert [(one.data.fold.column, one.data.fold.of) for one in fold_recipes(recipe, 3, tmp_path, hold_out=False)] == [(None, 3)] * 3


def test_what_cannot_be_folded_is_said(tmp_path):
    with pytest.raises(RecipeError, match="reads phantom") as caught:
        fold_recipes(golden_recipe("rr"), 5, tmp_path, hold_out=False)
    assert caught.value.code == "FOLDS_DATA"
    with pytest.raises(DataError, match=r"folds \(5\), there are 2") as few:
        in_fold(["a", "b"], [0, 1], ["", ""], FoldChoice(number=0, of=5))
    assert few.value.code == "FOLD_PATIENTS"
    with pytest.raises(DataError, match="0 of 2 are") as empty:
        in_fold(["a", "b"], [0, 1], ["x", "x"], FoldChoice(number=0, of=2, column="fold", value="y"))
    assert empty.value.code == "FOLD_EMPTY"
    with pytest.raises(ValueError, match="below 2"):
        FoldChoice(number=2, of=2)
