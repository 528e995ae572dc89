from __future__ import annotations

import pytest
from pydantic import ValidationError

from data_contracts import DriftReference, FeatureFamily, StudyProfile

PROFILE = StudyProfile(images={"noise": 0.1}, predictions={"dice": None}, attribution={}, tags={"modality": "MR"})


def test_features_are_found_by_their_family():
    assert PROFILE.of(FeatureFamily.IMAGES) == {"noise": 0.1}
    assert PROFILE.of(FeatureFamily.PREDICTIONS) == {"dice": None}


def test_a_reference_has_a_patient_and_a_performance_for_each_study():
    given = {"model": "models:/m/1", "weights_digest": "a" * 64, "measure": "dice", "studies": (PROFILE,)}
    assert DriftReference(**given, patients=(0,), performance=(None,)).performance == (None,)
    with pytest.raises(ValidationError, match="expected a patient and a performance for each of 1 studies, got 2 and 1"):
        DriftReference(**given, patients=(0, 1), performance=(None,))


def test_a_profile_of_what_is_no_number_is_refused():
    with pytest.raises(ValidationError):
        StudyProfile(images={"noise": float("nan")}, predictions={}, attribution={})
