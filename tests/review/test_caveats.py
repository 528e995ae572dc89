from __future__ import annotations

import pytest

from data_contracts import IngestCode, MeasureValue, Ref, VolumeRef
from medkd.review.caveats import compute_caveats


def with_values(report, *, lesion=None, inside=(0.5, 0.5), share=0.2, **changes):
    finding = report.findings[0]
    maps = tuple(
        m.model_copy(
            update={
                "measures": (MeasureValue(name="relevance_mass_accuracy", value=v, higher_is_better=True),),
                "fails_randomisation": changes.get("fails", False),
            }
        )
        for m, v in zip(finding.maps, inside, strict=True)
    )
    large = finding.lesion.model_copy(update={"volume_ml": 5.0, "diameter_mm": 30.0} | (lesion or {}))
    return (
        finding.model_copy(
            update={
                "maps": maps,
                "lesion": large,
                "outside": finding.outside.model_copy(update={"share_outside": share}),
                "student_probability": changes.get("student", {"benign": 0.1, "malignant": 0.9}),
                "teacher_probability": {"benign": 0.1, "malignant": 0.9},
            }
        ),
    )


def codes(findings):
    return [caveat.code for caveat in compute_caveats(findings)]


def test_a_clear_finding_has_only_the_standing_caveat(report):
    assert codes(with_values(report)) == ["NOT_CALIBRATED"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"lesion": {"volume_ml": 0.99}}, "SMALL_LESION"),
        ({"lesion": {"diameter_mm": 9.9}}, "SMALL_LESION"),
        ({"inside": (0.09, 0.1)}, "LOW_INSIDE"),
        ({"inside": (0.5, 0.3)}, "INSIDE_GAP"),
        ({"share": 0.51}, "OUTSIDE_FOCUS"),
        ({"student": {"benign": 0.45, "malignant": 0.55}}, "UNDECIDED"),
        ({"student": {"benign": 0.9, "malignant": 0.1}}, "TEACHER_DISAGREES"),
        ({"fails": True}, "SANITY_FAILED"),
    ],
)
def test_each_caveat_fires_on_its_quantity(report, change, code):
    assert code in codes(with_values(report, **change))


def test_the_worst_comes_first(report):
    severities = [c.severity for c in compute_caveats(with_values(report, share=0.9, inside=(0.05, 0.5)))]
    assert severities == sorted(severities, reverse=True)
    assert severities[0] == 3


def test_what_one_model_alone_marks_stands_before_every_other_caveat(report):
    finding = with_values(report, share=0.9, fails=True)[0]
    missed = finding.lesion.model_copy(update={"volume_ml": 2.1, "side": "left", "centroid_lps_mm": (40.0, -3.0, 12.0)})
    payload = compute_caveats((finding.model_copy(update={"share_in_teacher": 0.09}),), teacher_only=[missed, missed])
    assert [caveat.code for caveat in payload][:3] == ["STUDENT_ONLY", "TEACHER_ONLY", "OUTSIDE_FOCUS"]
    assert [caveat.severity for caveat in payload][:3] == [3, 3, 3]
    assert payload[0].text.startswith("Lesion 1: only the student marks this; 9% of its voxels (5.00 ml, left, at LPS")
    assert payload[1].text.startswith("only the teacher marks 2 components (the largest: 2.10 ml, left, at LPS (40, -3, 12) mm)")
    assert "STUDENT_ONLY" not in codes((finding.model_copy(update={"share_in_teacher": 0.1}),))
    assert "STUDENT_ONLY" not in codes((finding,)), "without a teacher nothing is said of it"


def test_components_that_are_not_explained_are_counted(report):
    payload = [caveat for caveat in compute_caveats(report.findings, not_shown=[0.4, 1.25, None]) if caveat.code == "NOT_EXPLAINED"]
    assert [caveat.text for caveat in payload] == ["3 more components are outlined but not explained; the largest has 1.25 ml."]
    assert "NOT_EXPLAINED" not in codes(report.findings)


def test_what_ingestion_repaired_or_doubted_is_told(report):
    volume = VolumeRef(
        array=Ref(store="store", key="v", sha256="a" * 64),
        geometry=report.geometry,
        unit="HU",
        modality="CT",
        patient_key="p",
        study_key="s",
        series_key="x",
        flags=(IngestCode.LOSSY_COMPRESSED, IngestCode.MONOCHROME1),
        synthetic_slices=(1, 4),
        synthetic_voxels=800,
        tilt_degrees=14.0,
    )
    payload = {caveat.code: caveat for caveat in compute_caveats(with_values(report), volume=volume)}
    slices = report.geometry.shape[0]
    assert payload["SYNTHETIC_SLICES"].text == f"2 of {slices} slices (2, 5) were not measured but interpolated between their neighbours."
    assert payload["SYNTHETIC_SLICES"].severity == 3
    assert "14.0 degrees" in payload["SHEARED_GRID"].text
    assert payload["LOSSY_COMPRESSED"].severity == 2
    assert "MONOCHROME1" not in payload
    marked = volume.model_copy(update={"synthetic_slices": ()})
    assert "SYNTHETIC_VOXELS" in {caveat.code for caveat in compute_caveats((), volume=marked)}
    plain = marked.model_copy(update={"flags": (), "synthetic_voxels": 0, "tilt_degrees": 0.0})
    assert [caveat.code for caveat in compute_caveats((), volume=plain)] == ["NOT_CALIBRATED"]
