"""What is said of a calibration holds every number that it rests on, and no word that persuades."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import Calibration, ConformalBound, read_record
from medkd.inference.calibration_text import bound_text, calibration_caveats, probabilities_text
from medkd.wording import require_neutral

GOLDEN = read_record((Path(__file__).parents[1] / "contracts" / "golden" / "calibration_1.json").read_bytes(), Calibration)


def test_a_calibrated_model_says_how_on_whom_and_how_well():
    said = calibration_caveats(GOLDEN, "net")
    assert [(one.code, one.severity) for one in said] == [("CALIBRATED", 1), ("MISSED_BOUND", 1)]
    assert said[0].text == (
        "net: probabilities are calibrated (temperature 2) on 40 validation patients; expected calibration error 0.200 [0.100, 0.300] before, "
        "0.050 [0.020, 0.110] after."
    )
    assert said[1].text == (
        "net: on average over patients like the 20 of the validation, at most 10% of a patient's positive cases do not reach a probability of "
        "0.25 before calibration; 30.0% of cases of the first class reach it."
    )


def test_a_model_without_a_calibration_says_nothing_here():
    assert calibration_caveats(None, "net") == ()


@pytest.mark.parametrize(
    "changes",
    [{}, {"method": "vector"}, {"method": "none", "reason": "too few"}, {"reason": "a bound"}, {"ece_before": None, "ece_after": None}],
)
@pytest.mark.parametrize(
    "bound",
    [
        {},
        {"unit": "lesion"},
        {"unit": "lesion", "threshold": None, "reason": "3 patients are too few"},
        {"unit": "lesion", "false_positives": None},
    ],
)
def test_every_sentence_is_neutral_and_ends(changes, bound):
    own = GOLDEN.model_copy(update={**changes, "bound": GOLDEN.bound.model_copy(update=bound)})
    for one in calibration_caveats(own, "net"):
        assert require_neutral(one.text).endswith(".")
        assert "None" not in one.text


def test_what_was_not_fitted_and_not_bounded_has_its_reason():
    assert (
        probabilities_text(GOLDEN.model_copy(update={"method": "none", "reason": "too few"}))
        == "probabilities are softmax outputs; too few."
    )
    none = ConformalBound(alpha=0.1, unit="lesion", patients=3, units=4, reason="3 patients are too few")
    assert bound_text(none) == "no threshold bounds the share of missed lesions: 3 patients are too few."
