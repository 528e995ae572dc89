"""The review page: one self-contained HTML file, a pure function of the report and its arrays."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray
from skimage.measure import find_contours

from data_contracts import (
    ClassAnswer,
    DataError,
    Geometry,
    LesionFinding,
    ModelRef,
    PictureGrid,
    ReviewReport,
    Structures,
    TaskKind,
    VolumeRef,
)
from medkd.dicom.series_words import display_words, spacing_words
from medkd.explanation.wording import COLOURS_IN_WORDS, MASS_IN_WORDS, failed_mark
from medkd.pictures.colours import grey, heat, png
from medkd.review.map_table import figure, map_table
from medkd.review.orientation_marks import picture_marks
from medkd.review.page_words import caveat_said, checks_said, label_of, noun_word, teacher_cell
from medkd.review.shown import Shown, StudyArrays, shown_in
from medkd.review.summary import summary_of
from medkd.review.texts import LANGUAGES, Text, both, in_each, listed, recognise, say, texts_of

MOST_BYTES = 8 * 2**20
#: Heat is embedded on the key slice and this many slices to each side of it.
HEAT_REACH = 8
_PANES = ("plain", "student", "teacher", "difference")
#: Terms that the page explains, in the order of the page.
GLOSSARY = (
    *("student", "teacher", "reference", "segmentation", "voxel", "class", "key", "volume", "diameter", "axes", "lps", "marks", "dice"),
    *(
        "probability",
        "calibration",
        "conformal",
        "explainer",
        "attribution",
        "logit",
        "focus",
        "tests",
        "caveat",
        "status",
        "keys",
        "digest",
    ),
)
#: Texts that the script writes.
_OF_SCRIPT = ("images.where", "images.position")


def render_html(report: ReviewReport, arrays: StudyArrays) -> str:
    """Return the page of a report; the same report and arrays give the same bytes.

    The page asks nothing of a network: its content-security policy allows the one style, the one script (both by their
    sha256) and pictures inside the file. Overlays are locked until the reader has recorded an own read.

    Args:
        report: what is shown.
        arrays: the study's, and those of the report's explanations.

    Raises:
        DataError: ``PAGE_TOO_LARGE`` when the file would exceed 8 MiB.
    """
    shown = shown_in(report)
    structures = structures_of(report)
    outlined = outlined_anatomy(report)
    page = _template().render(
        report=report,
        volume=report.volume,
        languages=LANGUAGES,
        models=models_of(report),
        report_digest=report.digest(),
        policy=_policy(),
        style=Markup(_source("report.css")),
        script=Markup(_source("report.js")),
        data=Markup(_embed(_page_data(report, shown, arrays))),
        segments=any(one.kind is TaskKind.SEGMENTATION for one in report.explanations),
        summary=summary_of(report),
        choices=choices_of(report),
        noun=noun_word(structures),
        word=say("images.structure" if outlined else "images.finding"),
        outlined=recognise(outlined),
        trained_on=list(dict.fromkeys(one.trained_on for one in report.explanations if one.trained_on)),
        outlines=list(arrays.masks()),
        lesions=[_row(place, one) for place, one in enumerate(shown) if isinstance(one.finding, LesionFinding)],
        answers=[_row(place, one) for place, one in enumerate(shown) if isinstance(one.finding, ClassAnswer)],
        labels=[in_each(label_of(one)) for one in shown],
        maps=map_table(shown, structures),
        tests=[
            (one.model.name, sanity_report, checks_said(sanity_report.checks, one.structures))
            for one in report.explanations
            for sanity_report in one.sanity_reports
        ],
        caveats=[(caveat.severity, *caveat_said(caveat)) for caveat in report.caveats],
        teacher_only=[lesion for one in report.explanations for lesion in one.teacher_only],
        panes=[role for role in _PANES if role in _shown_roles(report)],
        marks=None if report.volume.space is None else picture_marks(report.volume.space),
        words=recognise(_grid_words(report.volume)),
        colours=recognise(COLOURS_IN_WORDS),
        masses=listed(
            (
                say("maps.masses", kind=say(f"kind.{one.kind.value}"), mass=recognise(MASS_IN_WORDS[one.mass]))
                for one in report.explanations
            ),
            "list.more",
        ),
        glossary=GLOSSARY,
    )
    if len(page.encode()) > MOST_BYTES:
        raise DataError("PAGE_TOO_LARGE", f"expected a page of at most {MOST_BYTES} bytes, got {len(page.encode())}")
    return page


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


def _shown_roles(report: ReviewReport) -> set[str]:
    """Return the panes of a report: without a teacher there is neither its pane nor a difference."""
    teacher = any(one.teacher is not None for one in report.explanations)
    return {"plain", "student"} | ({"teacher", "difference"} if teacher else set())


@functools.cache
def _source(name: str) -> str:
    return files("medkd.review").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    environment.filters["both"] = both
    environment.filters["in_each"] = in_each
    environment.filters["recognise"] = recognise
    environment.globals["t"] = lambda key, /, **values: both(say(key, **values))
    environment.globals["say"] = say
    return environment.from_string(_source("report.html"))


def _policy() -> str:
    """Return the page's content-security policy: what is not in the file is not loaded."""
    style, script = (base64.b64encode(hashlib.sha256(_source(name).encode()).digest()).decode() for name in ("report.css", "report.js"))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )


def _embed(payload: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")


def _page_data(report: ReviewReport, shown: Sequence[Shown], arrays: StudyArrays) -> dict[str, Any]:
    slices, rows, columns = arrays.volume.shape
    spacing = _pixel_aspect(report.volume)
    space = report.volume.space
    return {
        "size": [rows, columns],
        "aspect": [columns * spacing[1], rows * spacing[0]],
        "base": [_data_uri(grey(plane, report.window)) for plane in arrays.volume],
        "outlines": {name: [_path(plane) for plane in mask.astype(np.uint8)] for name, mask in arrays.masks().items()},
        "heat": [heat_of(one, arrays, slices) for one in shown],
        "explainers": [list(one.explainers) for one in shown],
        "texts": {language: {key: texts_of(language)[key] for key in _OF_SCRIPT} for language in LANGUAGES},
        "positions": [] if space is None else [round(float(space.position_lps_mm(index, 0, 0)[2]), 1) for index in range(slices)],
    }


def heat_of(shown: Shown, arrays: StudyArrays, slices: int) -> dict[str, Any]:
    """Return per explainer the pictures of student, teacher (if there is one) and their difference: one symmetric scale for all."""
    key = shown.finding.key_slice
    near = range(max(0, key - HEAT_REACH), min(slices, key + HEAT_REACH + 1))
    result: dict[str, Any] = {}
    for explainer in shown.explainers:
        planes = {role: arrays.explained[shown.place][one.tensor].astype(np.float32) for role, one in shown.by(explainer).items()}
        limit = float(max(np.abs(plane).max() for plane in planes.values()))
        failed = failed_mark(shown.explanation.failed_checks(explainer), shown.explanation.structures)
        if len(planes) == 2:
            planes["difference"] = planes["student"] - planes["teacher"]
        result[explainer] = {
            "limit": f"{limit:.3g}",
            "failed": in_each(recognise(failed)),
            "planes": {
                role: {str(k): _data_uri(heat(plane[k], limit, failed=bool(failed))) for k in near if plane[k].any()}
                for role, plane in planes.items()
            },
        }
    return result


def _path(mask: NDArray[np.uint8]) -> str:
    """Return the SVG path of a mask's outlines in pixels, (0, 0) being the corner of the first pixel."""
    if not mask.any():
        return ""
    loops = find_contours(np.pad(mask.astype(float), 1), 0.5)
    return "".join("M" + "L".join(f"{c - 0.5:.1f} {r - 0.5:.1f}" for r, c in loop) + "Z" for loop in loops)


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def _pixel_aspect(volume: VolumeRef) -> tuple[float, float]:
    """Return how far pixels lie apart, between rows and between columns: mm, or 1 and 1 of a picture that does not say so."""
    if isinstance(volume.geometry, PictureGrid):
        stated = volume.geometry.spacing
        return (1.0, 1.0) if stated is None else (stated.between_rows_mm, stated.between_columns_mm)
    _, rows, columns = _spacing_mm(volume.geometry)
    return rows, columns


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
