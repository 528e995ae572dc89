"""One picture becomes a stored image of frames: modality values, what is shown of them, and what was not measured; or it is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import Action, DisplayRule, IngestCode, IngestError, PictureGrid, VolumeRef
from medkd.dicom.assemble import SeriesKeys, modality_of, said_evidence
from medkd.dicom.blank_picture import blanked_pixels
from medkd.dicom.display import WHITE, as_shown, read_display
from medkd.dicom.findings import Findings
from medkd.dicom.grey_picture import LUMA_RULE, grey_picture, is_coloured
from medkd.dicom.group import SliceGroup
from medkd.dicom.picture_view import frame_time_ms, intent_of, laterality_of, view_of
from medkd.dicom.pixel_plan import plan_pixels
from medkd.dicom.pixel_spacing import pixel_spacing
from medkd.dicom.raw_values import raw_int, raw_text
from medkd.dicom.stored_values import stored_and_cut
from medkd.dicom.units import RESCALE_TYPES, UNSPECIFIED
from medkd.storage.store import Store
from medkd.volumes.perceptual import perceptual_hash

#: What a picture must not look like: what nobody measured is as dark as the darkest that was.
_Values = NDArray[Any]


def store_picture(group: SliceGroup, keys: SeriesKeys, store: Store, findings: Findings) -> VolumeRef:
    """Decode, blank and store a picture.

    Raises:
        IngestError: codes of OBJECT, PIXEL and IDENTITY, unless the policy settles them otherwise.
    """
    header = group.header
    values, shown, lettering, rule, coloured, padded = _read(group, findings)
    blanked = blanked_pixels(header, lettering, findings)
    synthetic = padded if blanked is None else (np.broadcast_to(blanked, values.shape) | (False if padded is None else padded))
    if synthetic is not None and synthetic.any():
        values, shown = _darkened(values, shown, synthetic)
    flat = [number for number, frame in enumerate(values) if frame.min() == frame.max()]
    if flat:
        message = f"expected frames with contents, {len(flat)} hold one value only"
        findings.resolve(IngestCode.CONSTANT_SLICE, message, {"slices": flat[:20], "count": len(flat)})
    intent = intent_of(header)
    if intent == "FOR PROCESSING":
        findings.resolve(IngestCode.FOR_PROCESSING, "expected a radiograph for presentation, it is for processing", {"intent": intent})
    spacing = pixel_spacing(header)
    if spacing is None:
        findings.resolve(IngestCode.SPACING_UNKNOWN, "expected a pixel spacing, the picture states none", {"spacing": "unknown"})
    arrays = {"volume": _narrow(values), "picture": shown}
    marked = 0 if synthetic is None else int(np.count_nonzero(synthetic))
    if synthetic is not None and marked:
        arrays["synthetic"] = synthetic.astype(np.uint8)
    frames, rows, columns = values.shape
    return VolumeRef(
        array=store.write_arrays(f"volumes/{keys.series}.safetensors", arrays),
        geometry=PictureGrid(
            shape=(frames, rows, columns),
            spacing=spacing,
            display=rule,
            laterality=laterality_of(header),
            view=view_of(header),
            intent=intent,
            frame_time_ms=frame_time_ms(header),
            coloured_pixels=coloured,
        ),
        unit=_unit(header),
        modality=modality_of(header),
        patient_key=keys.patient,
        study_key=keys.study,
        series_key=keys.series,
        frame_of_reference_key=keys.frame_of_reference,
        flags=tuple(sorted(findings.flags)),
        evidence={code: said_evidence(evidence) for code, evidence in sorted(findings.flags.items())},
        synthetic_voxels=marked,
        perceptual_hash=perceptual_hash(shown[frames // 2]),
    )


def _read(group: SliceGroup, findings: Findings) -> tuple[_Values, _Values, _Values, DisplayRule, int, NDArray[np.bool_] | None]:
    """Return modality values, what is shown of them, what lettering is looked for in, the rule, coloured pixels and what is padded."""
    header, first = group.header, group.slices[0]
    photometric = raw_text(header, 0x00280004).upper() or "MONOCHROME2"
    if is_coloured(photometric):
        picture = grey_picture(first.file, photometric)
        evidence = {"photometric": photometric, "rule": LUMA_RULE, "coloured_pixels": picture.coloured, "pixels": int(picture.grey.size)}
        message = f"expected a grey picture, got {photometric} with {picture.coloured} coloured pixels of {picture.grey.size}"
        findings.resolve(IngestCode.COLOUR_TO_GREY, message, evidence)
        rule = DisplayRule(photometric=photometric, colours=LUMA_RULE)
        scale = WHITE / ((1 << picture.bits) - 1)
        return picture.grey, as_shown(picture.grey * scale), picture.brightest, rule, picture.coloured, None
    samples = raw_int(header, 0x00280002, 1)
    if samples != 1 or not photometric.startswith("MONOCHROME"):
        message = f"expected grey, RGB, YBR or a palette, got {samples} samples per pixel"
        raise IngestError(IngestCode.COLOUR_UNSUPPORTED, message, {"samples": samples})
    cut = findings.policy.action(IngestCode.BITS_MISMATCH) is Action.REPAIR
    plans = [plan_pixels(frame, cut_bits=cut, tables=True) for frame in group.slices]
    display = read_display(header, plans[0])
    stored = np.stack([_decoded(plan, findings) for plan in plans])
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise IngestError(IngestCode.NAN_OR_INF, "expected finite values, some are not", {"file": first.file.relative})
    padding = plans[0].padding
    padded = None if padding is None else (stored >= padding[0]) & (stored <= padding[1])
    if padded is not None and padded.any():
        message = f"expected measured pixels, {int(padded.sum())} carry the padding value"
        action = findings.resolve(IngestCode.PADDING_VALUE, message, {"pixels": int(padded.sum())})
        padded = padded if action is Action.REPAIR else None
    values = display.values(stored)
    # Lettering is drawn to be seen: bright in what is shown.
    lettering = -values.astype(np.int64) if display.rule.inverted else values
    return values, display.shown(values), lettering, display.rule, 0, padded


def _decoded(plan: Any, findings: Findings) -> _Values:
    stored, cut = stored_and_cut(plan)
    if plan.raised and not plan.floating:
        findings.resolve(IngestCode.HIGH_BIT, "expected values in the lower bits", {"bits_stored": plan.bits[1], "high_bit": plan.high_bit})
    if cut:
        findings.note(IngestCode.BITS_MISMATCH, {"bits_stored": plan.bits[1], "action": Action.REPAIR.value})
    return stored


def _darkened(values: _Values, shown: _Values, synthetic: NDArray[np.bool_]) -> tuple[_Values, _Values]:
    """Return values and what is shown with everything that was not measured as dark as the darkest that was."""
    measured = np.flatnonzero(~synthetic)
    darkest = int(measured[shown.ravel()[measured].argmin()]) if measured.size else 0
    return (
        np.where(synthetic, values.ravel()[darkest], values).astype(values.dtype),
        np.where(synthetic, shown.ravel()[darkest], shown).astype(shown.dtype),
    )


def _narrow(values: _Values) -> _Values:
    """Return values as int16 where all are whole and fit, else as float32: what volumes are stored as."""
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    fits = int(values.min()) >= -32768 and int(values.max()) <= 32767
    return values.astype(np.int16 if whole and fits else np.float32)


def _unit(header: Dataset) -> str:
    """Return the unit of the values as RescaleType or the type of the modality table says it, ``raw`` where neither is a defined term."""
    tables = header.get("ModalityLUTSequence") or [Dataset()]
    stated = (raw_text(tables[0], 0x00283004) or raw_text(header, 0x00281054)).upper()
    return stated if stated in RESCALE_TYPES and stated != UNSPECIFIED and not re.search(r"SUV|HU", stated) else "raw"
