"""Corrected masks from and to DICOM segmentations: what a reader drew in a viewer, on the voxels of the study, never resampled.

A segment is called by its finding and what it means, ``lesion-1 forbidden`` or ``lesion-1 allowed``, or ``missed``; nothing else is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from data_contracts import (
    CorrectedMask,
    Feedback,
    FeedbackEntry,
    FeedbackError,
    FeedbackForm,
    IngestCode,
    IngestError,
    IngestPolicy,
    ReviewReport,
    VoxelMask,
)
from data_contracts.ingest_policy import Action
from data_contracts.private import private_folder
from medkd.dicom.archive import files_of
from medkd.dicom.classify import LABELMAP_STORAGE
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.findings import Findings
from medkd.dicom.found_file import FoundFile
from medkd.dicom.labels.segmentation import bind_segmentation
from medkd.dicom.write_seg import SegIdentity, complete, source_images, write_seg
from medkd.feedback.keep import findings_of
from medkd.results.common import Identity
from medkd.volumes.voxel_masks import mask_of, voxels_of

_CALLED = re.compile(r"((?:lesion|answer|teacher)-[1-9][0-9]*)[\s_:,-]+(allowed|forbidden)|(missed)(?:[\s_:-]*\d+)?", re.IGNORECASE)
_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", LABELMAP_STORAGE)
#: Fractions are no drawing, and another grid would have to be resampled.
_POLICY = IngestPolicy(actions={IngestCode.LABEL_GEOMETRY_MISMATCH: Action.REJECT})
#: Series number of drawings: beside those of ``medkd.results.common``.
_SERIES = 9070


def masks_from_seg(path: Path, report: ReviewReport, secret: bytes | None = None) -> dict[str, tuple[CorrectedMask, ...]]:
    """Return what a DICOM segmentation marks, by finding; under ``missed`` what no model marks, as masks of what is allowed.

    Args:
        path: of the segmentation.
        report: of the study that it was drawn on.
        secret: of the site; with it the segmentation must be in the study's frame of reference, where the report names one.

    Raises:
        FeedbackError: ``MASK_UNREADABLE`` (no segmentation), ``MASK_GEOMETRY`` (not on the study's voxels, or of a picture, which lies nowhere),
            ``MASK_FRAME`` (of another frame of reference), ``MASK_NAMES`` (a segment is called otherwise, or names no finding of the report).
    """
    header = _header(path)
    _require_frame(header, report, secret)
    geometry = report.volume.space
    if geometry is None:
        raise FeedbackError(
            "MASK_GEOMETRY", f"expected a volume, the study is a {report.volume.modality} picture, whose pixels lie nowhere in the patient"
        )
    names = _names(header, report)
    try:
        bound = bind_segmentation(FoundFile(path, path.name, "", header), geometry, Findings(_POLICY))
    except IngestError as error:
        code = "MASK_GEOMETRY" if error.ingest_code is IngestCode.LABEL_GEOMETRY_MISMATCH else "MASK_UNREADABLE"
        raise FeedbackError(code, f"{error.message}; draw it on the study's own slices, nothing is resampled") from error
    if IngestCode.FRACTIONAL_LABEL in bound.flags:
        raise FeedbackError("MASK_UNREADABLE", f"expected segments that are drawn or not, {path.name} holds fractions")
    found: dict[str, list[CorrectedMask]] = {}
    for number, (finding, meaning) in names.items():
        voxels = np.asarray(bound.extra.get(f"segment/{number}", bound.array == number)) > 0
        if not voxels.any():
            raise FeedbackError("MASK_UNREADABLE", f"expected voxels in every segment, {path.name} has none in number {number}")
        mask = CorrectedMask.model_validate({"meaning": meaning, "voxels": mask_of(voxels), "source": "dicom_seg"})
        found.setdefault(finding, []).append(mask)
    return {finding: tuple(masks) for finding, masks in found.items()}


def with_masks(form: FeedbackForm, masks: dict[str, tuple[CorrectedMask, ...]]) -> FeedbackForm:
    """Return a form with masks that were drawn in a viewer: the explanations of their findings are corrected by them.

    Args:
        form: as the page saved it.
        masks: of :func:`masks_from_seg`.

    Raises:
        FeedbackError: ``MASK_VERDICT`` where the form accepts, or does not judge, an explanation that is corrected, or holds no such finding.
    """
    verdicts = {verdict.finding: verdict for verdict in form.verdicts}
    for finding, drawn in masks.items():
        if finding == "missed":
            continue
        verdict = verdicts.get(finding)
        if verdict is None or verdict.explanation not in ("rejected", "corrected"):
            said = "nothing" if verdict is None else verdict.explanation
            raise FeedbackError(
                "MASK_VERDICT",
                f"expected an explanation that is rejected or corrected where a mask is drawn, the form says {said} of {finding}",
            )
        verdicts[finding] = verdict.model_copy(update={"explanation": "corrected", "masks": (*verdict.masks, *drawn)})
    missed = (*form.missed, *(mask.voxels for mask in masks.get("missed", ())))
    return FeedbackForm.model_validate({**form.model_dump(), "verdicts": tuple(verdicts.values()), "missed": missed})


def masks_to_seg(entry: FeedbackEntry, images: Sequence[Dataset], out: Path) -> tuple[Path, ...]:
    """Write the masks of a judgement as DICOM segmentations of the study's images; :func:`masks_from_seg` reads the same masks from them.

    Masks that overlap go into files of their own. Written again, they are the same objects.

    Args:
        entry: of a judgement.
        images: of the slices, in order.
        out: folder for ``feedback-INDEX-NUMBER.dcm``.

    Raises:
        FeedbackError: ``MASK_NONE`` where the judgement holds no mask, ``FEEDBACK_MASK`` where the images are not those of its grid.
    """
    masks = _masks_of(entry)
    shape = (len(images), int(images[0].Rows), int(images[0].Columns))
    other = next((mask.shape for _, mask in masks if mask.shape != shape), None)
    if other is not None:
        raise FeedbackError("FEEDBACK_MASK", f"expected images of the study's {other} voxels, got {shape}")
    complete(images)
    identity = Identity(entry.digest(), str(images[0].StudyInstanceUID))
    written = []
    for number, (labels, names) in enumerate(_layers(masks, shape), 1):
        tracking = {value: (name, identity.uid("mask", str(number), str(value))) for value, name in names.items()}
        own = SegIdentity(
            identity.uid("masks"), identity.uid("masks", str(number)), tracking, _SERIES, f"medkd feedback {entry.index}", drawn=True
        )
        written.append(write_seg(labels, names, images, "drawn by a reader", out / f"feedback-{entry.index}-{number}.dcm", identity=own))
    return tuple(written)


def masks_of_study(entry: FeedbackEntry, report: ReviewReport, source: Path, out: Path) -> tuple[Path, ...]:
    """Write the masks of a judgement as segmentations of the images among some DICOM files.

    Args:
        entry: of a judgement.
        report: that it is of.
        source: folder, zip or file of the study.
        out: folder to write to.

    Raises:
        FeedbackError: as :func:`masks_to_seg`, ``FEEDBACK_REPORT`` where the judgement is of another report, ``MASK_GEOMETRY`` for a picture.
        DataError: ``SEG_SOURCE`` where a slice has no image of its own.
    """
    said, geometry = entry.record, report.volume.space
    if not isinstance(said, Feedback) or said.report != report.digest():
        raise FeedbackError(
            "FEEDBACK_REPORT", f"expected a judgement of report {report.digest()[:12]}, entry {entry.index} is of another one"
        )
    if geometry is None:
        raise FeedbackError(
            "MASK_GEOMETRY", f"expected a volume, the study is a {report.volume.modality} picture, whose pixels lie nowhere in the patient"
        )
    _masks_of(entry)  # before images are looked for
    with files_of(source) as files:
        # Values tell repeated slices apart, and a report does not hold them: where places are held twice, that is refused.
        images = source_images(files, np.zeros(geometry.shape, np.float32), geometry)
        return masks_to_seg(entry, images, private_folder(out))


def _masks_of(entry: FeedbackEntry) -> list[tuple[str, VoxelMask]]:
    said = entry.record
    masks: list[tuple[str, VoxelMask]] = []
    if isinstance(said, Feedback):
        masks += [(f"{verdict.finding} {mask.meaning}", mask.voxels) for verdict in said.verdicts for mask in verdict.masks]
        masks += [(f"missed {number}", mask) for number, mask in enumerate(said.missed, 1)]
    if not masks:
        raise FeedbackError("MASK_NONE", f"expected a judgement with masks, entry {entry.index} holds none")
    return masks


def _layers(masks: Sequence[tuple[str, VoxelMask]], shape: tuple[int, int, int]) -> list[tuple[NDArray[np.uint8], dict[int, str]]]:
    """Return label maps in which no two masks overlap, as few as a first fit needs, and what their values are called."""
    layers: list[tuple[NDArray[np.uint8], dict[int, str]]] = []
    for name, mask in masks:
        voxels = voxels_of(mask)
        free = next((layer for layer in layers if len(layer[1]) < 255 and not layer[0][voxels].any()), None)
        if free is None:
            free = (np.zeros(shape, np.uint8), {})
            layers.append(free)
        labels, names = free
        value = len(names) + 1
        labels[voxels], names[value] = value, name
    return layers


def _header(path: Path) -> Dataset:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise FeedbackError(
            "MASK_UNREADABLE", f"expected a DICOM segmentation, {path.name} cannot be read ({type(error).__name__})"
        ) from error
    if str(header.get("SOPClassUID", "")) not in _STORAGE:
        kind = pydicom.uid.UID(str(header.get("SOPClassUID", ""))).name or "nothing"
        raise FeedbackError("MASK_UNREADABLE", f"expected a DICOM segmentation, {path.name} is {kind}")
    return header


def _require_frame(header: Dataset, report: ReviewReport, secret: bytes | None) -> None:
    frame, wanted = str(header.get("FrameOfReferenceUID", "")), report.volume.frame_of_reference_key
    if secret is not None and frame and wanted is not None and pseudonym(secret, "frame", frame) != wanted:
        raise FeedbackError("MASK_FRAME", f"expected a segmentation in the study's frame of reference, {wanted}, it is in another one")


def _names(header: Dataset, report: ReviewReport) -> dict[int, tuple[str, str]]:
    """Return finding and meaning of each segment by its number. What a segment is called otherwise is not repeated: it may be a name."""
    known, found = findings_of(report), {}
    for item in header.get("SegmentSequence") or []:
        number = int(item.get("SegmentNumber", 0))
        if number == 0:
            continue  # the background of a label map
        called = _CALLED.fullmatch(str(item.get("SegmentLabel", "")).strip())
        if called is None or (called[1] and called[1].lower() not in known):
            raise FeedbackError(
                "MASK_NAMES",
                "expected segments called by a finding and its meaning, such as 'lesion-1 forbidden' or 'lesion-1 allowed', or 'missed'; segment "
                f"{number} is called otherwise, or by no finding of {', '.join(known) or 'the report, which has none'}",
            )
        found[number] = (called[1].lower(), called[2].lower()) if called[1] else ("missed", "allowed")
    return found
