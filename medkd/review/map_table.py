"""The table of maps and what was measured of them, with its legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_contracts import Peak, Structures
from medkd.explanation.wording import failed_mark, measures_in_words, noun_of
from medkd.review.page_words import label_of
from medkd.review.shown import Shown
from medkd.review.texts import Text, recognise, say

#: Measures of how far two maps agree: one value for both.
_OF_BOTH = ("cosine_agreement", "rank_agreement")


def map_table(shown: Sequence[Shown], structures: Structures = "lesion") -> dict[str, Any]:
    """Return the table of maps and what was measured of them, with its legend; measures that no map has are left out.

    Measures of one map are shown of student and teacher, those of agreement stand once, with the student's.
    """
    maps = [one.by(name) for one in shown for name in one.explainers]
    present = {value.name for roles in maps for ref in roles.values() for value in ref.measures}
    columns = [
        (name, say(f"heading.{heading}"), recognise(meaning))
        for name, (heading, meaning) in measures_in_words(structures).items()
        if name in present
    ]
    rows = []
    for one in shown:
        for name in one.explainers:
            roles = one.by(name)
            cells = []
            for measure, _, _ in columns:
                values = [figure(ref.measure(measure)) for role, ref in roles.items() if role == "student" or measure not in _OF_BOTH]
                cells.append(" / ".join(values))
            student = roles["student"]
            highest = highest_words(student.peaks)
            kind = student.target.kind.replace("lesion", noun_of(structures)).replace("_", " ")
            explains = say("maps.explains", target=recognise(kind), class_name=recognise(one.finding.class_name))
            failed = recognise(failed_mark(one.explanation.failed_checks(name), one.explanation.structures))
            rows.append(
                {"label": label_of(one), "explainer": name, "failed": failed, "explains": explains, "cells": cells, "highest": highest}
            )
    return {"columns": columns, "rows": rows}


def highest_words(peaks: Sequence[Peak]) -> Text:
    """Return where a map is highest: in the patient, LPS mm, of a picture the row and column."""
    if not peaks:
        return say("maps.nowhere")
    place = peaks[0].position_lps_mm
    if place is None:
        return say("maps.voxel", row=peaks[0].voxel[1], column=peaks[0].voxel[2])
    return ", ".join(f"{mm:.0f}" for mm in place)


def figure(value: float | None, digits: int = 2) -> str:
    """Return a figure with so many digits, a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"
