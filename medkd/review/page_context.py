"""What the templates of a page are given: the same for the page that is read in a browser and for the one that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_contracts import (
    ClassAnswer,
    Geometry,
    LesionChange,
    LesionFinding,
    ModelRef,
    PictureGrid,
    ReviewReport,
    Structures,
    TaskKind,
    VolumeRef,
)
from medkd.dicom.series_words import display_words, spacing_words
from medkd.explanation.wording import COLOURS_IN_WORDS, MASS_IN_WORDS
from medkd.review.map_table import figure, map_table
from medkd.review.page_images import names_of
from medkd.review.page_words import caveat_said, checks_said, label_of, noun_word, teacher_cell
from medkd.review.reliability import SIDE, diagrams_of, stability_of
from medkd.review.shown import Shown, shown_in
from medkd.review.similar_table import similar_blocks
from medkd.review.summary import summary_of
from medkd.review.texts import LANGUAGES, Said, Text, in_each, listed, recognise, say

#: Terms that the page explains, in the order of the page.
GLOSSARY = (
    *("student", "teacher", "reference", "segmentation", "voxel", "class", "key", "volume", "diameter", "axes", "lps", "marks", "dice"),
    *(
        "probability",
        "calibration",
        "conformal",
        "explainer",
        "attribution",
        "distance",
        "logit",
        "focus",
        "tests",
        "caveat",
        "status",
        "keys",
        "digest",
    ),
)


@dataclass(frozen=True)
class Verification:
    """That a reader accepted a report: what a page says beside it, which the report itself does not hold.

    Attributes:
        reader: pseudonym of the reader.
        at: when, in UTC.
    """

    reader: str
    at: str


def page_context(report: ReviewReport, outlines: Sequence[str], verified: Verification | None = None) -> dict[str, Any]:
    """Return what the templates say of a report, by the names they use.

    Args:
        report: what is shown.
        outlines: names of the masks that are drawn.
        verified: by whom the report was accepted; None of one that is not.
    """
    shown, structures, outlined = shown_in(report), structures_of(report), outlined_anatomy(report)
    return {
        "report": report,
        "verified": verified,
        "volume": report.volume,
        "languages": LANGUAGES,
        "images": names_of(report.explanations),
        "models": models_of(report),
        "report_digest": report.digest(),
        "segments": any(one.kind is TaskKind.SEGMENTATION for one in report.explanations),
        "summary": summary_of(report),
        "noun": noun_word(structures),
        "word": say("images.structure" if outlined else "images.finding"),
        "outlined": recognise(outlined),
        "trained_on": list(dict.fromkeys(one.trained_on for one in report.explanations if one.trained_on)),
        "outlines": outlines,
        "lesions": [_row(place, one) for place, one in enumerate(shown) if isinstance(one.finding, LesionFinding)],
        "answers": [_row(place, one) for place, one in enumerate(shown) if isinstance(one.finding, ClassAnswer)],
        "labels": [in_each(label_of(one)) for one in shown],
        "maps": map_table(shown, structures),
        "tests": [
            (one.model.name, sanity_report, checks_said(sanity_report.checks, one.structures))
            for one in report.explanations
            for sanity_report in one.sanity_reports
        ],
        "caveats": [(caveat.severity, *caveat_said(caveat)) for caveat in report.caveats],
        "teacher_only": [lesion for one in report.explanations for lesion in one.teacher_only],
        "marks": report.volume.space is not None,
        "words": recognise(_grid_words(report.volume)),
        "colours": recognise(COLOURS_IN_WORDS),
        "masses": _masses(report),
        "similar": similar_blocks(report),
        "changes": [] if report.prior is None else [(one, change_words(one)) for one in report.prior.changes],
        "diagrams": diagrams_of(report),
        "side": SIDE,
        "stability": stability_of(report),
        "glossary": GLOSSARY,
    }


def change_words(change: LesionChange) -> Said:
    """Return whether a lesion was matched with one of the prior study, and how it changed."""
    if change.number is None:
        return say("prior.gone")
    if change.prior_number is None:
        return say("prior.new")
    return say("prior.matched", dice=figure(change.dice))


def _masses(report: ReviewReport) -> Text:
    """Return which part of its maps each explanation takes shares of."""
    parts = [say("maps.masses", kind=say(f"kind.{one.kind.value}"), mass=recognise(MASS_IN_WORDS[one.mass])) for one in report.explanations]
    return listed(parts, "list.more")


def choices_of(report: ReviewReport) -> list[tuple[str, Text]]:
    """Return what the reader is asked before the models' answers are shown, as value and text: what the models answer, and ``unsure``.

    Of a model that classifies alone it is its classes; of one that outlines lesions whether there are any; of anatomy whether it is in view.
    """
    unsure = ("unsure", say("read.unsure"))
    if outlined_anatomy(report):
        return [("present", say("read.whole")), ("absent", say("read.partly")), unsure]
    classes = [name for one in report.explanations for answer in one.answers for name in answer.probabilities]
    if classes and all(one.kind is TaskKind.CLASSIFICATION for one in report.explanations):
        return [*((name, recognise(name)) for name in dict.fromkeys(classes)), unsure]
    return [("present", say("read.present")), ("absent", say("read.absent")), unsure]


def models_of(report: ReviewReport) -> list[tuple[str, ModelRef, int | None]]:
    """Return role, version and parameters of every model that took part, each student before its teacher."""
    found: list[tuple[str, ModelRef, int | None]] = []
    for one in report.explanations:
        found.append(("student", one.model, one.parameters))
        if one.teacher is not None:
            found.append(("teacher", one.teacher, one.teacher_parameters))
    return found


def structures_of(report: ReviewReport) -> Structures:
    """Return what is outlined in a report: lesions, unless it segments and says that it is anatomy."""
    return next((one.structures for one in report.explanations if one.kind is TaskKind.SEGMENTATION), "lesion")


def outlined_anatomy(report: ReviewReport) -> str:
    """Return what a model that segments anatomy was made for, in words; empty of models of lesions and of classifiers."""
    return next(
        (one.trained_on or "anatomy" for one in report.explanations if one.kind is TaskKind.SEGMENTATION and one.structures == "anatomy"),
        "",
    )


def ruler_note(volume: VolumeRef) -> Said | None:
    """Return what lengths on the picture are measured at, where that is not the patient; None of a volume."""
    if volume.picture is None:
        return None
    spacing = volume.picture.spacing
    return say("ruler.unknown") if spacing is None else say("ruler.note", spacing=recognise(spacing_words(volume.picture)))


def _spacing_mm(geometry: Geometry) -> tuple[float, float, float]:
    lengths = np.linalg.norm(np.asarray(geometry.affine_lps_mm)[:3, :3], axis=0)
    return (round(float(lengths[0]), 3), round(float(lengths[1]), 3), round(float(lengths[2]), 3))


def _grid_words(volume: VolumeRef) -> str:
    """Return the grid of a volume, or how a picture was brought to what is shown, in words."""
    geometry, (slices, rows, columns) = volume.geometry, volume.geometry.shape
    if isinstance(geometry, PictureGrid):
        frames = f"{slices} frames of " if slices > 1 else ""
        return f"{frames}{rows} × {columns} pixels, {spacing_words(geometry)}; {display_words(geometry.display)}"
    spacing = " × ".join(str(step) for step in _spacing_mm(geometry))
    return f"{slices} slices of {rows} × {columns}, spacing {spacing} mm, largest deviation {geometry.residual_mm:.3g} mm"


def _row(place: int, shown: Shown) -> dict[str, Any]:
    """Return what the table of findings shows of one."""
    teacher, alone = teacher_cell(shown.finding)
    mass = say(f"mass.{shown.explanation.mass}")
    return {"place": place, "label": label_of(shown), "mass": mass, "finding": shown.finding, "alone": alone, "teacher": teacher}
