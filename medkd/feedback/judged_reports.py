"""The reports that feedback refers to, found in a folder by their digests, with the voxels of their findings."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from pathlib import Path

from data_contracts import MedkdError, ReviewReport, StudyExplanation, TaskKind, VoxelMask, read_record
from medkd.explanation.artefact import RECORD as EXPLANATION
from medkd.explanation.artefact import SHORT, read_explanation
from medkd.feedback.directives import JudgedReport
from medkd.review.write_report import RECORD as REPORT
from medkd.volumes.voxel_masks import mask_of


def judged_reports(folder: Path, wanted: Set[str]) -> dict[str, JudgedReport]:
    """Return the reports of some digests that lie below a folder, by digest; what is not there is left out, and counted by whoever needs it.

    Args:
        folder: of a run, or of any reports; explanations whose arrays lie below it too give the contours.
        wanted: digests that feedback names.

    Raises:
        RegistryError: ``VERSION_ALTERED`` when the arrays of an explanation are not as they were kept.
    """
    places = {path.parent.name: path.parent for path in sorted(folder.rglob(EXPLANATION))}
    found: dict[str, JudgedReport] = {}
    for path in sorted(folder.rglob(REPORT)):
        payload = path.read_bytes()
        # Of the bytes: a record of an earlier version is lifted as it is read, and has another digest then.
        digest = hashlib.sha256(payload).hexdigest()
        if digest not in wanted or digest in found:
            continue
        try:
            report = read_record(payload, ReviewReport)
        except MedkdError:
            continue  # a report of a version that cannot be read: its feedback counts as that of an unknown report
        contours = {name: mask for one in report.explanations for name, mask in _contours(one, places).items()}
        found[digest] = JudgedReport(report, contours)
    return found


def _contours(explanation: StudyExplanation, places: dict[str, Path]) -> dict[str, VoxelMask]:
    """Return the voxels of each finding that is explained, by its name; none where the arrays are not here."""
    place = places.get(explanation.digest()[:SHORT])
    if place is None:
        return {}
    arrays = read_explanation(place)[1]
    noun = "answer" if explanation.kind is TaskKind.CLASSIFICATION else "lesion"
    masks = {f"{noun}-{number}": arrays.get(f"mask/{number}") for number in explanation.explained}
    return {name: mask_of((voxels > 0).numpy()) for name, voxels in masks.items() if voxels is not None and bool((voxels > 0).any())}
