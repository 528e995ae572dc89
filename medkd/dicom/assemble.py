"""One group of slices becomes a stored volume: solved, decoded into place, repaired in the open, or refused."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import Action, IngestCode, IngestError, Ref, VolumeRef
from medkd.dicom.confidentiality.burned_in import find_text
from medkd.dicom.decode import SliceStats
from medkd.dicom.decoders import Decoders
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.mapped_volume import MappedVolume
from medkd.dicom.pixel_plan import PixelPlan, plan_pixels
from medkd.dicom.raw_values import text_of
from medkd.dicom.solve_geometry import SHARE_OF_STEP, Solution
from medkd.dicom.stored_values import stored_values
from medkd.dicom.suv import SUV_BODY_WEIGHT, suv_factor
from medkd.dicom.units import unit_of
from medkd.storage.store import Store
from medkd.volumes.perceptual import perceptual_hash

_DEFINED_TERM = re.compile(r"^[A-Z]{2,16}$")
#: Pixels of the brightest value that a line of text has at least.
_FEWEST_LETTER_PIXELS = 16
#: Hounsfield units outside of this are not tissue, air, metal or a usual padding value.
PLAUSIBLE_HU = (-4096.0, 32767.0)


@dataclass(frozen=True)
class Decoded:
    """What decoding a volume gave: the file, its arrays' shape, and which voxels were not measured."""

    file: MappedVolume
    synthetic_slices: tuple[int, ...]
    synthetic_voxels: int


@dataclass(frozen=True)
class SeriesKeys:
    """Pseudonyms under which a volume is stored."""

    patient: str
    study: str
    series: str
    frame_of_reference: str | None


def store_volume(group: SliceGroup, solution: Solution, keys: SeriesKeys, store: Store, findings: Findings, pool: Decoders) -> VolumeRef:
    """Decode, repair and store a solved group.

    Raises:
        IngestError: codes of PIXEL and VALUE, unless the policy settles them otherwise.
    """
    header = group.header
    unit = unit_of(group, findings)
    factor = suv_factor(group, unit, findings) if text_of(header, "Modality") == "PT" else None
    unit = unit if factor is None else SUV_BODY_WEIGHT
    target = f"volumes/{keys.series}.safetensors"
    decoded = _decode(group, solution, store, target, findings, pool, factor)
    try:
        values = decoded.file.open("volume")
        if unit == "HU":
            _judge_hu(values, findings)
        _judge_text(values, findings)
        looks = perceptual_hash(values)
        del values
        digest = decoded.file.commit()
    except BaseException:
        decoded.file.discard()
        raise
    return VolumeRef(
        array=Ref(store=store.name, key=target, sha256=digest),
        geometry=solution.geometry,
        unit=unit,
        modality=modality_of(header),
        patient_key=keys.patient,
        study_key=keys.study,
        series_key=keys.series,
        frame_of_reference_key=keys.frame_of_reference,
        flags=tuple(sorted(findings.flags)),
        evidence={code: said_evidence(evidence) for code, evidence in sorted(findings.flags.items())},
        synthetic_slices=decoded.synthetic_slices,
        synthetic_voxels=decoded.synthetic_voxels,
        tilt_degrees=round(solution.tilt_degrees, 6),
        perceptual_hash=looks,
    )


def modality_of(header: Dataset) -> str:
    """Return the modality when it is a defined term by its form (PS3.3 C.7.3.1.1.1), OT otherwise: a value can be anything."""
    stated = text_of(header, "Modality")
    return stated if _DEFINED_TERM.match(stated) else "OT"


def said_evidence(evidence: dict[str, Any]) -> str:
    """Return evidence as JSON without names of files: those may hold names of people."""
    kept = {name: value for name, value in evidence.items() if name not in {"file", "files"}}
    return json.dumps(kept, sort_keys=True, default=str)


def _decode(
    group: SliceGroup, solution: Solution, store: Store, key: str, findings: Findings, pool: Decoders, factor: float | None
) -> Decoded:
    cut = findings.policy.action(IngestCode.BITS_MISMATCH) is Action.REPAIR
    keep = findings.policy.action(IngestCode.NAN_OR_INF) is Action.REPAIR
    slices = [group.slices[index] for index in solution.order]
    jobs = [(row, plan_pixels(item, cut_bits=cut, keep_nan=keep)) for row, item in enumerate(slices) if item not in group.unusable]
    if factor is not None:  # after each slice's own rescale: slopes of PET differ from slice to slice
        jobs = [(row, replace(plan, slope=plan.slope * factor, intercept=plan.intercept * factor)) for row, plan in jobs]
    shape = (len(slices), *solution.geometry.shape[1:])
    # Whole numbers first: they take half the room, and whether they fit into 16 bits is known only when they are decoded.
    for dtype in ("int16", "float32") if all(plan.exact for _, plan in jobs) else ("float32",):
        file = MappedVolume(store.root / key, {"volume": (dtype, shape)})
        stats = pool.decode(file, jobs)
        if not any(item.overflow for item in stats):
            break
        file.discard()
    try:
        lost = _settle_slices(jobs, stats, findings) | {row for row, item in enumerate(slices) if item in group.unusable}
        repaired = _not_measured(jobs, stats, findings, shape)
        if not lost and repaired is None and solution.places == tuple(range(solution.geometry.shape[0])):
            return Decoded(file, (), 0)
        return _repair(file, solution, lost, repaired)
    except BaseException:
        file.discard()
        raise


def _settle_slices(jobs: list[tuple[int, PixelPlan]], stats: list[SliceStats], findings: Findings) -> set[int]:
    """Settle what decoding met, and return the places of slices that could not be decoded but may be filled."""
    lost: set[int] = set()
    for (place, plan), item in zip(jobs, stats, strict=True):
        if item.error is not None:
            code, message, evidence = item.error
            if code not in (IngestCode.TRUNCATED_PIXELS, IngestCode.DECODE_FAILED):
                raise IngestError(code, message, evidence)
            findings.resolve(code, message, evidence)
            lost.add(place)
        if plan.raised and not plan.floating:
            findings.resolve(
                IngestCode.HIGH_BIT, "expected values in the lower bits", {"bits_stored": plan.bits[1], "high_bit": plan.high_bit}
            )
        if item.cut:
            findings.note(IngestCode.BITS_MISMATCH, {"bits_stored": plan.bits[1], "action": Action.REPAIR.value})
    # What is filled is filled from neighbours: without most of them nothing of it would be measured.
    if len(lost) > len(jobs) / 2:
        raise IngestError(
            IngestCode.TRUNCATED_PIXELS, f"expected most of {len(jobs)} slices whole, {len(lost)} are not", {"lost": len(lost)}
        )
    constant = [place for (place, _), item in zip(jobs, stats, strict=True) if item.low == item.high and item.error is None]
    if constant:
        message = f"expected slices with contents, {len(constant)} hold one value only"
        findings.resolve(IngestCode.CONSTANT_SLICE, message, {"slices": constant[:20], "count": len(constant)})
    padded = sum(item.padded for item in stats)
    if padded:
        findings.resolve(IngestCode.PADDING_VALUE, f"expected measured pixels, {padded} carry the padding value", {"pixels": padded})
    not_finite = sum(item.not_finite for item in stats)
    if not_finite:
        findings.resolve(IngestCode.NAN_OR_INF, f"expected finite values, {not_finite} are not", {"count": not_finite})
    return lost


def _not_measured(
    jobs: list[tuple[int, PixelPlan]], stats: list[SliceStats], findings: Findings, shape: tuple[int, ...]
) -> NDArray[np.uint8] | None:
    """Return 1 at every padded and every undefined pixel of the given slices, or None where the policy repairs neither."""
    repairs_padding = findings.flags.get(IngestCode.PADDING_VALUE, {}).get("action") == Action.REPAIR.value
    repairs_nan = IngestCode.NAN_OR_INF in findings.flags
    if not (repairs_padding or repairs_nan):
        return None
    mask = np.zeros(shape, dtype=np.uint8)
    for (row, plan), item in zip(jobs, stats, strict=True):
        if item.error is not None or not (item.not_finite or item.padded):
            continue
        stored = stored_values(plan)
        if plan.padding is not None and repairs_padding:
            mask[row] |= (stored >= plan.padding[0]) & (stored <= plan.padding[1])
        if plan.floating:
            mask[row] |= ~np.isfinite(stored)
    return mask


def _repair(file: MappedVolume, solution: Solution, lost: set[int], repaired: NDArray[np.uint8] | None) -> Decoded:
    """Write the volume again with everything filled that was not measured, and the mask of it beside the voxels."""
    given = np.array(file.open("volume"))
    file.discard()
    if repaired is not None:
        with np.errstate(invalid="ignore"):
            measured = given[(repaired == 0) & np.isfinite(given)]
        # The lowest value that was measured: what nobody measured must not look like tissue.
        given[repaired > 0] = measured.min() if measured.size else 0
    shape = solution.geometry.shape
    result = MappedVolume(file.path, {"volume": (given.dtype.name, shape), "synthetic": ("uint8", shape)})
    values, mask = result.open("volume"), result.open("synthetic")
    usable = [(place, row) for row, place in enumerate(solution.places) if row not in lost]
    synthetic = []
    for place in range(shape[0]):
        first, second, weight = _between(usable, place)
        if weight == 0 and first is not None:
            values[place] = given[first]
            mask[place] = 0 if repaired is None else repaired[first]
            continue
        synthetic.append(place)
        mask[place] = 1
        blend = given[first if first is not None else second].astype(np.float64)
        if first is not None and second is not None:
            blend = blend * (1 - weight) + given[second].astype(np.float64) * weight
        # Cast alone would cut towards zero, half a unit on average.
        values[place] = np.rint(blend) if values.dtype.kind == "i" else blend
    return Decoded(result, tuple(synthetic), int(np.count_nonzero(mask)))


def _between(usable: list[tuple[float, int]], place: int) -> tuple[int | None, int | None, float]:
    """Return the slices before and after an output slice and the weight of the second; weight 0 is the slice itself."""
    nearest = min(usable, key=lambda pair: abs(pair[0] - place))
    if abs(nearest[0] - place) <= SHARE_OF_STEP:
        return nearest[1], None, 0.0
    before = max((pair for pair in usable if pair[0] < place), default=None)
    after = min((pair for pair in usable if pair[0] > place), default=None)
    if before is None or after is None:
        return (None, after[1], 1.0) if after is not None else (before[1] if before else None, None, 1.0)
    return before[1], after[1], (place - before[0]) / (after[0] - before[0])


def _judge_text(values: NDArray[Any], findings: Findings) -> None:
    """Look for drawn text in the first, the middle and the last slice."""
    for place in sorted({0, len(values) // 2, len(values) - 1}):
        plane = np.asarray(values[place])
        # Letters are many pixels of one value; without them the search is spared.
        if np.count_nonzero(plane == plane.max()) >= _FEWEST_LETTER_PIXELS and (found := find_text(plane)):
            evidence = {"slice": place, "lines_found": len(found)}
            message = f"expected pixels without text, slice {place} shows {len(found)} lines of it"
            findings.resolve(IngestCode.BURNED_IN_TEXT, message, evidence, repairable=False)


def _judge_hu(values: NDArray[Any], findings: Findings) -> None:
    # A coarse grid over about 32 slices is enough to see what unit values are in.
    sample = np.asarray(values[:: max(1, len(values) // 32), ::16, ::16], dtype=np.float64)
    low, middle, high = (float(v) for v in np.percentile(sample, (0.1, 50, 99.9)))
    # Values that lost their intercept of -1024 begin at 0, and soft tissue then lies about 1000.
    padded = IngestCode.PADDING_VALUE in findings.flags
    if ((low < PLAUSIBLE_HU[0] or high >= PLAUSIBLE_HU[1]) and not padded) or (low >= 0 and middle > 300):
        message = f"expected Hounsfield units, values go from {low:.0f} over {middle:.0f} (median) to {high:.0f}"
        findings.resolve(IngestCode.HU_RANGE_IMPLAUSIBLE, message, {"low": low, "median": middle, "high": high})
