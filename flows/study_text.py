"""What the command line says of a report: each finding and whether the teacher agrees, and what the teacher marks alone."""

from __future__ import annotations

from typing import Any

from data_contracts import Finding, Lesion, ReviewReport
from medkd.review.against_teacher import place_of, side_of, standing_of
from medkd.review.caveats import OUTSIDE_TRAINING

#: In JSON: True where the teacher marks it too, False where it does not, None without a teacher.
_AGREES = {"agrees": True, "student only": False, "no teacher": None}


def findings_summary(report: ReviewReport) -> dict[str, Any]:
    """Return findings and what the teacher alone marks, for machines."""
    return {
        "findings": [_finding(number, finding) for number, finding in enumerate(report.findings, 1)],
        "teacher_only": [_place(lesion) for lesion in report.teacher_only],
        "caveats": [caveat.model_dump(mode="json") for caveat in report.caveats],
    }


def _finding(number: int, finding: Finding) -> dict[str, Any]:
    failed = {one.explainer: list(one.failed_checks) for one in finding.maps if one.failed_checks}
    return {
        "number": number,
        **_place(finding.lesion),
        "teacher_agrees": _AGREES[standing_of(finding)],
        "share_in_teacher": finding.share_in_teacher,
        "dice_to_teacher": finding.dice_to_teacher,
        "failed_checks": failed,
    }


def _place(lesion: Lesion) -> dict[str, Any]:
    centre = None if lesion.centroid_lps_mm is None else [round(mm, 1) for mm in lesion.centroid_lps_mm]
    return {"class": lesion.class_name, "volume_ml": lesion.volume_ml, "side": lesion.side, "centre_lps_mm": centre}


def findings_text(report: ReviewReport) -> str:
    """Return in what the study is not what the model was trained on, a line per finding, and one per component that the teacher alone marks."""
    lines = [f"{caveat.code}: {caveat.text}" for caveat in report.caveats if caveat.code in OUTSIDE_TRAINING]
    lines += [_line(number, finding) for number, finding in enumerate(report.findings, 1)] or ["no finding"]
    lines += [f"teacher only: {place_of(lesion)}" for lesion in report.teacher_only]
    return "\n".join(lines)


def _line(number: int, finding: Finding) -> str:
    lesion, dice = finding.lesion, finding.dice_to_teacher
    likeness = "" if dice is None else f" (Dice {dice:.2f})"
    standings = {
        "agrees": f"teacher agrees{likeness}",
        "student only": "ONLY THE STUDENT MARKS THIS",
        "no teacher": "no teacher to compare with",
    }
    volume = "volume unknown" if lesion.volume_ml is None else f"{lesion.volume_ml:.2f} ml"
    return f"{lesion.class_name} {number}: {volume}, {side_of(lesion)}, {standings[standing_of(finding)]}"
