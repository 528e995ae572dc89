"""Control reports: the same studies with maps that are wrong on purpose, a folder each, by which a server measures reliance.

``OUT/GENUINE/KIND/`` holds ``report.json`` and ``study.safetensors``, GENUINE being the digest of the study's own report. They are read by the
server alone: no page and no picture is made of them, so that none is taken for a genuine one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from data_contracts import DataError, MedkdError, ReviewReport, StudyExplanation, load_record
from medkd.explanation.wrong_maps import Kind, Maps, mirrored, moved_onto, swapped, with_wrong_maps
from medkd.review.caveats import compute_caveats
from medkd.review.orientation_marks import views_of
from medkd.review.shown import StudyArrays
from medkd.review.study_file import NAME, StudyFile, open_study_file, write_study_file
from medkd.storage.output import CONTROLS, claim, require_apart
from medkd.storage.store import write_bytes

RECORD = "report.json"
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class ControlReport:
    """A control report that was made: of which study, and what is wrong."""

    study_key: str
    kind: Kind
    folder: Path


@dataclass(frozen=True)
class _Study:
    report: ReviewReport
    arrays: StudyFile


def make_controls(reports: Path, out: Path) -> tuple[tuple[ControlReport, ...], tuple[tuple[str, str], ...]]:
    """Make every kind of control report of every study that has maps, and return them, and what could not be made with the reason.

    Args:
        reports: folder with reports, each in a folder of its own.
        out: folder that is made; made again, it holds the same.

    Raises:
        DataError: ``NO_REPORT`` where there is none; OutputError: as :func:`~medkd.storage.output.claim`.
    """
    folders = sorted(path.parent for path in reports.rglob(RECORD)) if reports.is_dir() else []
    if not folders:
        raise DataError("NO_REPORT", f"expected reports ({RECORD}) below {reports}, got none; write some with `medkd report-store`")
    require_apart(reports, out, called="the reports")
    claim(out, CONTROLS)
    studies, made, refused = [], [], []
    for folder in folders:
        try:
            studies.append(_Study(load_record(folder / RECORD, ReviewReport), open_study_file(folder / NAME)))
        except MedkdError as error:
            refused.append((folder.name, f"{error.code}: {error.message}"))
    for place, study in enumerate(studies):
        others = [*studies[place + 1 :], *studies[:place]]
        for kind in KINDS:
            try:
                made.append(_make(study, others, kind, out))
            except DataError as error:
                refused.append((f"{study.report.volume.study_key}/{kind}", f"{error.code}: {error.message}"))
    return tuple(made), tuple(refused)


def _make(study: _Study, others: Sequence[_Study], kind: Kind, out: Path) -> ControlReport:
    report = study.report
    folder = out / report.digest() / kind
    arrays: list[Mapping[str, NDArray[Any]]] = []
    wrong = []
    for place, explanation in enumerate(report.explanations):
        maps = _wrong(study, others, kind, place)
        regions = {number: study.arrays.mask(f"{place}/region/{number}") for number in explanation.explained}
        marked = study.arrays.mask("mask/student") if explanation.lesions else None
        wrong.append(with_wrong_maps(explanation, maps, regions, marked))
        own: dict[str, NDArray[Any]] = {**maps, **{f"mask/{number}": region for number, region in regions.items()}}
        if marked is not None:
            own |= {
                f"segmentation/{role}": study.arrays.mask(f"mask/{role}") for role in ("student", "teacher") if role in study.arrays.masks
            }
        arrays.append(own)
    if all(one == genuine for one, genuine in zip(wrong, report.explanations, strict=True)):
        raise DataError("CONTROL_SAME", f"expected maps that differ from the genuine ones, got {kind} maps that do not")
    control = report.model_copy(update={"explanations": tuple(wrong), "caveats": compute_caveats(tuple(wrong), report.similar)})
    further = tuple(study.arrays.volume(image) for image in range(1, study.arrays.images))
    label = study.arrays.mask("mask/reference") if "reference" in study.arrays.masks else None
    write_study_file(folder / NAME, control, StudyArrays(study.arrays.volume(), tuple(arrays), label, further))
    write_bytes(folder / RECORD, control.canonical_json())
    return ControlReport(report.volume.study_key, kind, folder)


def _genuine(study: _Study, place: int) -> Maps:
    explanation = study.report.explanations[place]
    cut = [one.tensor for one in explanation.maps if len(study.arrays.kept(f"{place}/{one.tensor}")) < study.arrays.shape[0]]
    if not explanation.maps or cut:
        raise DataError(
            "CONTROL_MAPS", f"expected whole maps of the study, got {len(explanation.maps)} of which {len(cut)} are cut to few slices"
        )
    return {one.tensor: study.arrays.map(f"{place}/{one.tensor}") for one in explanation.maps}


def _wrong(study: _Study, others: Sequence[_Study], kind: Kind, place: int) -> Maps:
    explanation, maps = study.report.explanations[place], _genuine(study, place)
    if kind == "other_finding":
        return swapped(maps, explanation)
    if kind == "mirrored":
        return mirrored(maps, _side_axis(study.report))
    scales = {name: study.arrays.limit(f"{place}/{name}") for name in maps}
    other = next(_of_others(explanation, others, place), None)
    if other is None:
        raise DataError("CONTROL_ALONE", f"expected another study with maps by the same explainers, got none among {len(others)}")
    return moved_onto(other, study.arrays.shape, scales)


def _of_others(explanation: StudyExplanation, others: Sequence[_Study], place: int) -> Iterator[Maps]:
    """Yield the maps of other studies that can stand for all of one's."""
    for other in others:
        if place < len(other.report.explanations):
            names = {(one.model_role, one.method.explainer): one.tensor for one in other.report.explanations[place].maps}
            keys = [(one.model_role, one.method.explainer) for one in explanation.maps]
            if all(key in names for key in keys):
                found = _genuine(other, place)
                yield {one.tensor: found[names[key]] for one, key in zip(explanation.maps, keys, strict=True)}


def _side_axis(report: ReviewReport) -> int:
    """Return the axis of the volume that runs from one side of the patient to the other; of a picture its columns."""
    views = {view.name: view.axis for view in views_of(report.volume.geometry)}
    if "sagittal" in views:
        return views["sagittal"]
    space = report.volume.space
    return 2 if space is None else int(np.abs(np.asarray(space.affine_lps_mm)[0, :3]).argmax())
