"""The records of a cross-validation."""

from __future__ import annotations

import pytest

from data_contracts import CrossValidation, EnsembleScore, load_record
from tests.flows.recording import GOLDEN


def test_an_ensemble_has_two_teachers_and_a_cross_validation_two_folds():
    ensemble = load_record(GOLDEN / "ensemble_score_1.json", EnsembleScore)
    with pytest.raises(ValueError, match="teachers"):
        EnsembleScore.model_validate({**ensemble.model_dump(), "teachers": ("a" * 64,)})
    found = load_record(GOLDEN / "cross_validation_1.json", CrossValidation)
    assert found.ensemble == ensemble
    with pytest.raises(ValueError, match="folds"):
        CrossValidation.model_validate({**found.model_dump(), "folds": found.folds[:1]})
