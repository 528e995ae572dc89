"""What the command line says of a report: each finding and whether the teacher agrees, and what the teacher marks alone."""

from __future__ import annotations

from typing import Any

from data_contracts import ClassAnswer, Lesion, LesionFinding, ReviewReport
from medkd.explanation.defaults import LEFT_OUT_CODES
from medkd.explanation.standing import place_of, side_of, standing_of
from medkd.inference.calibration_text import CALIBRATED, MISSED_BOUND
from medkd.review.caveats import OUTSIDE_TRAINING, teacher_class
from medkd.review.shown import Shown, shown_in

#: In JSON: True where the teacher marks it too, False where it does not, None without a teacher.
_AGREES = {"agrees": True, "student only": False, "no teacher": None}


def findings_summary(report: ReviewReport) -> dict[str, Any]:
    """Return findings and what the teacher alone marks, for machines."""
    shown = shown_in(report)
    return {
        "structures": "anatomy" if _of_anatomy(report) else "lesion",
        "trained_on": sorted({one.trained_on for one in report.explanations if one.trained_on}),
        "findings": [_lesion(one, one.finding) for one in shown if isinstance(one.finding, LesionFinding)],
        "answers": [_answer(one, one.finding) for one in shown if isinstance(one.finding, ClassAnswer)],
        "teacher_only": [_place(lesion) for one in report.explanations for lesion in one.teacher_only],
        "caveats": [caveat.model_dump(mode="json") for caveat in report.caveats],
    }


def _lesion(shown: Shown, lesion: LesionFinding) -> dict[str, Any]:
    return {
        "number": lesion.number,
        **_place(lesion),
        "teacher_agrees": _AGREES[standing_of(lesion)],
        "share_in_teacher": lesion.share_in_teacher,
        "dice_to_teacher": lesion.dice_to_teacher,
        "failed_checks": _failed(shown),
    }


def _answer(shown: Shown, answer: ClassAnswer) -> dict[str, Any]:
    other = teacher_class(answer)
    return {
        "number": answer.number,
        "class": answer.class_name,
        "first_slice": answer.first_slice,
        "last_slice": answer.last_slice,
        "probabilities": answer.probabilities,
        "teacher_probabilities": answer.teacher_probabilities,
        "teacher_agrees": None if other is None else other == answer.class_name,
        "failed_checks": _failed(shown),
    }


def _failed(shown: Shown) -> dict[str, list[str]]:
    failed = {name: list(shown.explanation.failed_checks(name)) for name in shown.explainers}
    return {name: checks for name, checks in failed.items() if checks}


def _place(lesion: Lesion) -> dict[str, Any]:
    centre = None if lesion.centroid_lps_mm is None else [round(mm, 1) for mm in lesion.centroid_lps_mm]
    return {"class": lesion.class_name, "volume_ml": lesion.volume_ml, "side": lesion.side, "centre_lps_mm": centre}


def findings_text(report: ReviewReport) -> str:
    """Return what the model was trained on, in what the study is not that, a line per finding, and one per component that the teacher alone marks.

    A version that is calibrated says last what its probabilities are worth, and then what was left out by the run-time or for want of time.
    """
    lines = [f"trained on {words}" for words in dict.fromkeys(one.trained_on for one in report.explanations if one.trained_on)]
    lines += [f"{caveat.code}: {caveat.text}" for caveat in report.caveats if caveat.code in OUTSIDE_TRAINING]
    lines += [_line(one.finding) for one in shown_in(report)] or ["no structure found" if _of_anatomy(report) else "no finding"]
    lines += [f"teacher only: {place_of(lesion)}" for one in report.explanations for lesion in one.teacher_only]
    lines += [f"{caveat.code}: {caveat.text}" for caveat in report.caveats if caveat.code in (CALIBRATED, MISSED_BOUND, *LEFT_OUT_CODES)]
    return "\n".join(lines)


def _of_anatomy(report: ReviewReport) -> bool:
    return any(one.structures == "anatomy" for one in report.explanations)


def _line(finding: LesionFinding | ClassAnswer) -> str:
    if isinstance(finding, ClassAnswer):
        other = teacher_class(finding)
        standings = "no teacher to compare with" if other is None else f"teacher answers {other}"
        slices = f"slices {finding.first_slice + 1} to {finding.last_slice + 1}"
        return f"answer {finding.number}: {finding.class_name} (probability {finding.probability:.2f}), {slices}, {standings}"
    dice = finding.dice_to_teacher
    likeness = "" if dice is None else f" (Dice {dice:.2f})"
    standing = {
        "agrees": f"teacher agrees{likeness}",
        "student only": "ONLY THE STUDENT MARKS THIS",
        "no teacher": "no teacher to compare with",
    }
    volume = "volume unknown" if finding.volume_ml is None else f"{finding.volume_ml:.2f} ml"
    return f"{finding.class_name} {finding.number}: {volume}, {side_of(finding)}, {standing[standing_of(finding)]}"
