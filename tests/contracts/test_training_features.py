from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import SimilarCase, SimilarCases, TrainingFeatures, TrainingItem, read_record

GOLDEN = Path(__file__).parent / "golden" / "training_features_1.json"


def test_patients_are_counted_once():
    record = read_record(GOLDEN.read_bytes(), TrainingFeatures)
    again = record.model_copy(update={"items": (*record.items, record.items[0])})
    assert (len(record.items), record.patients, again.patients) == (2, 2, 2)


def test_the_nearest_training_case_comes_first():
    far, near = SimilarCase(case_key="c", distance=2.0), SimilarCase(case_key="c", distance=0.5)
    given = {"explanation": 0, "number": 1, "layer": "l", "compared": 2, "patients": 1}
    assert SimilarCases(**given, cases=(near, far)).cases[0].distance == 0.5
    for field in ("cases", "same_patient"):
        with pytest.raises(ValueError, match="nearest training case first"):
            SimilarCases(**given, **{field: (far, near)})


def test_what_is_not_known_of_a_case_is_not_written():
    assert TrainingItem(case_key="c", patient_key="p").canonical_json() == b'{"case_key":"c","label":"","patient_key":"p"}'
