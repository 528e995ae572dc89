from __future__ import annotations

import pytest

from data_contracts import Caveat, ClassAnswer, IngestCode, MeasureValue
from medkd.review.caveats import compute_caveats


def plain(report, change, *, lesion=None, inside=(0.5, 0.5), share=0.2, **changes):
    """Return an explanation of a large lesion that both networks mark and explain alike, but for what is changed."""
    one = report.explanations[0]
    maps = tuple(
        ref.model_copy(
            update={
                "measures": (
                    MeasureValue(name="relevance_mass_accuracy", value=inside[ref.model_role == "teacher"], higher_is_better=True),
                )
            }
        )
        for ref in one.maps
    )
    outside = one.lesions[0].outside.model_copy(update={"share_outside": share})
    volume = one.volume.model_copy(update={"flags": ()})
    large = {"volume_ml": 5.0, "diameter_mm": 30.0, "outside": outside, **(lesion or {})}
    return change(report, lesion=large, **{"maps": maps, "volume": volume, **changes}).explanations[0]


def answer(**changes):
    payload = {"number": 1, "class_name": "malignant", "probability": 0.9, "first_slice": 0, "last_slice": 3, "key_slice": 2}
    sure = {"benign": 0.1, "malignant": 0.9}
    return ClassAnswer(**{**payload, "probabilities": sure, "teacher_probabilities": sure, **changes})


def codes(*explanations):
    return [caveat.code for caveat in compute_caveats(explanations)]


def test_a_clear_finding_has_only_the_standing_caveat(report, change):
    assert codes(plain(report, change)) == ["NOT_CALIBRATED"]
    assert codes(plain(report, change, lesions=(), answers=(answer(),))) == ["NOT_CALIBRATED"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lesion": {"volume_ml": 0.99}}, "SMALL_LESION"),
        ({"lesion": {"diameter_mm": 9.9}}, "SMALL_LESION"),
        ({"inside": (0.09, 0.1)}, "LOW_INSIDE"),
        ({"inside": (0.5, 0.3)}, "INSIDE_GAP"),
        ({"share": 0.51}, "OUTSIDE_FOCUS"),
        ({"failed": ("randomisation",)}, "SANITY_FAILED"),
        ({"answers": (answer(probability=0.55),)}, "UNDECIDED"),
        ({"answers": (answer(teacher_probabilities={"benign": 0.9, "malignant": 0.1}),)}, "TEACHER_DISAGREES"),
        ({"caveats": (Caveat(code="UNIT_UNTRAINED", text="units differ.", severity=3),)}, "UNIT_UNTRAINED"),
    ],
)
def test_each_caveat_fires_on_its_quantity(report, change, changes, code):
    assert code in codes(plain(report, change, **changes))


def test_the_worst_comes_first(report, change):
    severities = [c.severity for c in compute_caveats((plain(report, change, share=0.9, inside=(0.05, 0.5)),))]
    assert severities == sorted(severities, reverse=True)
    assert severities[0] == 3


def test_what_one_model_alone_marks_stands_before_every_other_caveat(report, change):
    missed = report.explanations[0].lesions[0].model_copy(update={"volume_ml": 2.1, "side": "left", "centroid_lps_mm": (40.0, -3.0, 12.0)})
    one = plain(report, change, share=0.9, failed=("randomisation",), lesion={"share_in_teacher": 0.09}, teacher_only=(missed, missed))
    payload = compute_caveats((one,))
    assert [caveat.code for caveat in payload][:3] == ["STUDENT_ONLY", "TEACHER_ONLY", "OUTSIDE_FOCUS"]
    assert [caveat.severity for caveat in payload][:3] == [3, 3, 3]
    assert payload[0].text.startswith("Lesion 1: only the student marks this; 9% of its voxels (5.00 ml, left, at LPS")
    assert payload[1].text.startswith("only the teacher marks 2 components (the largest: 2.10 ml, left, at LPS (40, -3, 12) mm)")
    assert "STUDENT_ONLY" not in codes(plain(report, change, lesion={"share_in_teacher": 0.1}))
    assert "STUDENT_ONLY" not in codes(plain(report, change)), "without a teacher nothing is said of it"


def test_what_is_not_explained_is_counted(report, change):
    first = report.explanations[0].lesions[0]
    more = [first.model_copy(update={"tracking_id": f"lesion-{n}", "volume_ml": ml}) for n, ml in ((2, 0.4), (3, 1.25), (4, None))]
    one = plain(report, change, lesions=(first, *more), answers=(answer(), answer(number=2, first_slice=4, last_slice=5)))
    payload = [caveat.text for caveat in compute_caveats((one,)) if caveat.code == "NOT_EXPLAINED"]
    assert payload == [
        "1 more answer is not explained, of 2 slices together.",
        "3 more components are outlined but not explained; the largest has 1.25 ml.",
    ]
    assert "NOT_EXPLAINED" not in codes(plain(report, change))


def test_two_models_say_the_same_of_a_study_once_and_each_what_failed_on_it(report, change):
    untrained = Caveat(code="UNIT_UNTRAINED", text="units differ.", severity=3)
    first = plain(report, change, caveats=(untrained,), failed=("randomisation",), tested_on_cohort=())
    second = plain(report, change, caveats=(untrained,), failed=("additivity",), tested_on_cohort=("grad_cam",))
    second = second.model_copy(update={"model": second.model.model_copy(update={"name": "other"})})
    payload = compute_caveats((first, second))
    assert [caveat.code for caveat in payload] == ["UNIT_UNTRAINED", "SANITY_FAILED", "SANITY_FAILED", "NOT_CALIBRATED"]
    assert {caveat.text for caveat in payload[1:3]} == {
        "maps of grad_cam by phantom-kd failed: randomisation, tested on this study.",
        "maps of grad_cam by other failed: additivity, tested on the model's cohort.",
    }


def test_what_ingestion_repaired_or_doubted_is_told(report, change):
    volume = report.volume.model_copy(
        update={
            "flags": (IngestCode.LOSSY_COMPRESSED, IngestCode.MONOCHROME1),
            "synthetic_slices": (1, 4),
            "synthetic_voxels": 800,
            "tilt_degrees": 14.0,
        }
    )
    payload = {caveat.code: caveat for caveat in compute_caveats((plain(report, change, volume=volume),))}
    slices = volume.geometry.shape[0]
    assert payload["SYNTHETIC_SLICES"].text == f"2 of {slices} slices (2, 5) were not measured but interpolated between their neighbours."
    assert payload["SYNTHETIC_SLICES"].severity == 3
    assert "14.0 degrees" in payload["SHEARED_GRID"].text
    assert payload["LOSSY_COMPRESSED"].severity == 2
    assert "MONOCHROME1" not in payload
    marked = volume.model_copy(update={"synthetic_slices": ()})
    assert "SYNTHETIC_VOXELS" in codes(plain(report, change, volume=marked))


def test_a_model_that_speaks_of_its_calibration_is_not_called_uncalibrated(report, change):
    said = Caveat(code="CALIBRATED", text="m: probabilities are calibrated.", severity=1)
    assert codes(plain(report, change, caveats=(said,))) == ["CALIBRATED"]
    both = (plain(report, change, caveats=(said,)), plain(report, change))
    assert [one.code for one in compute_caveats(both)] == ["CALIBRATED", "NOT_CALIBRATED"]


def test_caveats_of_anatomy_speak_of_structures(report, change):
    one = plain(report, change, structures="anatomy", share=0.9, lesion={"volume_ml": 0.5, "share_in_teacher": 0.0})
    found = compute_caveats((one,))
    assert {"SMALL_STRUCTURE", "STUDENT_ONLY", "OUTSIDE_FOCUS"} <= {caveat.code for caveat in found}
    assert not [caveat for caveat in found if "lesion" in caveat.text.lower()]
    assert any(caveat.text.startswith("Structure 1: only the student marks this") for caveat in found)
