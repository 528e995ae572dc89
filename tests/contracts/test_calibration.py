from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Calibration, ConformalBound, read_record

GOLDEN = Path(__file__).parent / "golden" / "calibration_1.json"
#: Records within the summary.
NESTED = {"ece_before", "ece_after", "bound"}


@pytest.fixture
def calibration():
    return read_record(GOLDEN.read_bytes(), Calibration)


def test_a_model_card_says_what_the_calibration_says_and_neither_bins_nor_files(calibration):
    summary = calibration.summary().model_dump()
    assert summary == {name: getattr(calibration, name).model_dump() if name in NESTED else getattr(calibration, name) for name in summary}
    assert set(summary) > NESTED
    assert not {"bins_before", "bins_after", "picture", "scales", "weights_digest"} & set(summary)


@pytest.mark.parametrize(("method", "calibrates"), [("temperature", True), ("vector", True), ("none", False)])
def test_without_a_method_probabilities_are_the_plain_softmax(calibration, method, calibrates):
    assert calibration.model_copy(update={"method": method}).calibrates is calibrates


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scales": (1.0, 1.0, 1.0)}, "expected a scale and a bias for each class, got 3 and 2"),
        ({"scales": (1.0,), "biases": (0.0,)}, "scales"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"method": "isotonic"}, "method"),
        ({"patients": -1}, "patients"),
        ({"bins_before": [{"confidence": 1.1, "accuracy": 0.5, "count": 1}]}, "confidence"),
        ({"bins_before": [{"confidence": 0.9, "accuracy": 0.5, "count": 0}]}, "count"),
    ],
)
def test_what_cannot_calibrate_is_refused(calibration, changes, said):
    with pytest.raises(ValueError, match=said):
        Calibration.model_validate({**calibration.model_dump(), **changes})


@pytest.mark.parametrize("changes", [{"alpha": 0.0}, {"alpha": 1.0}, {"threshold": 1.5}, {"unit": "voxel"}, {"missed": -0.1}])
def test_a_bound_is_a_share_of_lesions_or_positive_cases_at_a_probability(changes):
    given = {"alpha": 0.1, "unit": "lesion", "patients": 20, "units": 31, "threshold": 0.5, "missed": 0.05}
    assert ConformalBound.model_validate(given).false_positives is None
    with pytest.raises(ValueError, match=next(iter(changes))):
        ConformalBound.model_validate({**given, **changes})
