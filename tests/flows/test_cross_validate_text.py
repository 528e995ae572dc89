from __future__ import annotations

from data_contracts import CrossValidation, load_record
from flows.cross_validate_text import cross_validation_text
from tests.flows.recording import GOLDEN


def test_it_fits_a_hundred_columns_and_shows_folds_and_ensemble():
    text = cross_validation_text(load_record(GOLDEN / "cross_validation_1.json", CrossValidation))
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("r: 2 folds (column kFold); patients 0: 10, 1: 10")
    assert "teacher auc     .900 [.800, .950]  .035    .880 .930" in text
    assert "auc                     .900 [.800, 1.000]  +.040 [-.010, +.090]  .850 .870" in text
