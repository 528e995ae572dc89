"""Standardised uptake values of PET by body weight, g/ml, from a series that says everything that they need.

Source: the vendor-neutral pseudo-code of the Quantitative Imaging Biomarkers Alliance (QIBA, FDG-PET/CT Profile 1.13, appendix G.1; UPICT), and
PS3.3 C.8.9.1 (PET Series), C.8.9.2 (PET Isotope) and C.8.9.4 (PET Image). Slopes differ from slice to slice and are never shared: what is returned
here multiplies the values of each slice after its own rescale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import DT

from data_contracts import IngestCode
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.raw_values import raw_text, read_numbers, tag_of

#: The unit of what is computed, a code of UCUM.
SUV_BODY_WEIGHT = "{SUVbw}g/ml"
#: A dose outside of this, Bq, is one in another unit: 370 is a dose in MBq.
_DOSES_BQ = (1e5, 1e11)
_DAY = timedelta(days=1)
#: Uptake by anything else than the body's weight (PS3.3 C.8.9.1.1.6); other words are not repeated.
_OTHER_TYPES = frozenset({"BSA", "LBM", "LBMJAMES128", "LBMJANMA", "IBW"})
#: Private attributes of makers: group, creator, element.
_GE_SCAN_TIME = (0x0009, "GEMS_PETD_01", 0x0D)
_PHILIPS, _PHILIPS_SUV, _PHILIPS_ACTIVITY = (0x7053, "Philips PET Private Group"), 0x00, 0x09


class _MissingInputError(Exception):
    """What standardised uptake values need and the series does not say: attributes by keyword."""

    def __init__(self, *missing: str) -> None:
        super().__init__(", ".join(missing))
        self.missing = missing


@dataclass(frozen=True)
class _Decay:
    """How the dose decayed until the time that the images are corrected to."""

    seconds: float
    half_life_seconds: float
    reference: str

    @property
    def share(self) -> float:
        """Return the share of the injected dose that is left."""
        return float(2.0 ** (-self.seconds / self.half_life_seconds))


def suv_factor(group: SliceGroup, unit: str, findings: Findings) -> float | None:
    """Return what the values of a PET series are multiplied by to be standardised uptake values, None where they stay as they are.

    Args:
        group: slices of the series.
        unit: of their values after each slice's own rescale.
        findings: keeps ``SUV_BODY_WEIGHT`` with what was used, or settles ``SUV_INPUTS_MISSING``.

    Raises:
        IngestError: ``SUV_INPUTS_MISSING``, where the policy refuses it.
    """
    try:
        factor, evidence = _factor(group, unit)
    except _MissingInputError as error:
        message = f"expected {', '.join(error.missing)} in PET, standardised uptake values cannot be computed without"
        findings.resolve(IngestCode.SUV_INPUTS_MISSING, message, {"missing": list(error.missing)})
        return None
    findings.resolve(IngestCode.SUV_BODY_WEIGHT, "expected values as stored, standardised uptake values were asked for", evidence)
    return factor


def _factor(group: SliceGroup, unit: str) -> tuple[float, dict[str, Any]]:
    header = group.header
    if group.slices[0].groups:
        raise _MissingInputError(f"a single-frame PET series (it has {len(group.slices[0].groups)} functional groups)")
    corrected = {part.strip().upper() for part in raw_text(header, 0x00280051).split("\\")}
    if lacking := sorted({"ATTN", "DECY"} - corrected):
        raise _MissingInputError(f"CorrectedImage with ATTN and DECY (it lacks {' and '.join(lacking)})")
    if unit == "GML":
        kind = raw_text(header, 0x00541006).upper()
        if kind not in ("", "BW"):  # by lean body mass or body surface
            raise _MissingInputError(f"SUVType BW (it is {kind if kind in _OTHER_TYPES else 'another'})")
        return 1.0, {"from": "GML", "factor": 1.0}
    if unit == "CNTS":
        return _from_counts(group)
    if unit != "BQML":
        raise _MissingInputError(f"Units BQML, CNTS or GML (they are {unit})")
    return _from_activity(group)


def _from_counts(group: SliceGroup) -> tuple[float, dict[str, Any]]:
    """Return the factor of counts, by the private attributes of Philips: to uptake values at once, or to activity."""
    direct, activity = (_private_number(group.header, element) for element in (_PHILIPS_SUV, _PHILIPS_ACTIVITY))
    if direct:
        return direct, {"from": "CNTS", "factor": direct}
    if not activity:
        raise _MissingInputError(f"a scale of counts ({_PHILIPS[0]:04x},xx00 or {_PHILIPS[0]:04x},xx09 of Philips)")
    factor, evidence = _from_activity(group)
    return factor * activity, {**evidence, "from": "CNTS", "factor": factor * activity}


def _from_activity(group: SliceGroup) -> tuple[float, dict[str, Any]]:
    header, tracer = group.header, _tracer(group.header)
    weight, dose = _positive(header, "PatientWeight"), _positive(tracer, "RadionuclideTotalDose")
    if not _DOSES_BQ[0] <= dose <= _DOSES_BQ[1]:
        raise _MissingInputError(f"RadionuclideTotalDose in Bq (it is {dose:g})")
    correction = raw_text(header, 0x00541102).upper()
    if correction == "ADMIN":
        # Corrected to the injection itself: the whole dose is what was there.
        factor = weight * 1000 / dose
        return factor, {"from": "BQML", "factor": factor, "decay_correction": "ADMIN"}
    if correction != "START":
        raise _MissingInputError(f"DecayCorrection START or ADMIN (it is {correction if correction == 'NONE' else 'another'})")
    decay = _decay(group, tracer)
    factor = weight * 1000 / (dose * decay.share)
    return factor, {
        "from": "BQML",
        "factor": factor,
        "decay_correction": "START",
        "decay_seconds": decay.seconds,
        "scan_time_from": decay.reference,
    }


def _tracer(header: Dataset) -> Dataset:
    try:
        items = list(header.get("RadiopharmaceuticalInformationSequence") or [])
    except Exception:  # a sequence can be broken in ways no rule foresees
        items = []
    # Several tracers have several doses: which one the images show is not guessed.
    if len(items) != 1:
        raise _MissingInputError(f"RadiopharmaceuticalInformationSequence of one tracer (it has {len(items)})")
    tracer: Dataset = items[0]
    return tracer


def _decay(group: SliceGroup, tracer: Dataset) -> _Decay:
    half_life = _positive(tracer, "RadionuclideHalfLife")
    scanned, reference = _scan_time(group, half_life)
    start = _moment(raw_text(tracer, 0x00181078))
    if start is None:
        time = raw_text(tracer, 0x00181072)
        start = _moment(f"{scanned:%Y%m%d}", time)
        if start is None:
            raise _MissingInputError("RadiopharmaceuticalStartDateTime or RadiopharmaceuticalStartTime")
        # A time without a date is of the day of the scan, or of the evening before.
        start = start - _DAY if start > scanned else start
    seconds = (scanned - start).total_seconds()
    if not 0 <= seconds <= _DAY.total_seconds():
        raise _MissingInputError(f"an injection within the day before the scan (it is {seconds:.0f} s before)")
    return _Decay(seconds, half_life, reference)


def _scan_time(group: SliceGroup, half_life: float) -> tuple[datetime, str]:
    """Return the time that images are decay-corrected to, and where it is read from."""
    header = group.header
    series = _moment(raw_text(header, 0x00080021), raw_text(header, 0x00080031))
    acquired = [_moment(raw_text(item.header, 0x00080022), raw_text(item.header, 0x00080032)) for item in group.slices]
    known = [moment for moment in acquired if moment is not None]
    if len(known) < len(acquired):
        raise _MissingInputError(f"AcquisitionDate and AcquisitionTime of every slice ({len(known)} of {len(acquired)} have both)")
    if series is not None and series <= min(known):
        return series, "series"
    # A series that was processed later has the date of its making: the scan's own is elsewhere.
    ge = _private(header, *_GE_SCAN_TIME)
    if ge is not None and (moment := _moment(str(ge))) is not None:
        return moment, "GE private"
    first, beginning = min(zip(group.slices, known, strict=True), key=lambda pair: pair[1])
    reference, duration = (read_numbers(first.header, tag_of(name)).values for name in ("FrameReferenceTime", "ActualFrameDuration"))
    if len(reference) == len(duration) == 1 and reference[0] > 0 and duration[0] > 0:
        # FrameReferenceTime leads from the scan's beginning to the time of the average count rate within the frame, ms.
        rate = math.log(2) / half_life
        within = rate * duration[0] / 1000
        average = math.log(within / -math.expm1(-within)) / rate
        return beginning + timedelta(seconds=average - reference[0] / 1000), "frame reference time"
    return beginning, "earliest acquisition"


def _moment(date: str, time: str | None = None) -> datetime | None:
    """Return a date and its time, or a date-time, None where it is none; the clock is the scanner's own."""
    text = date if time is None else f"{date.strip()}{time.strip().replace(':', '')}"
    if time is not None and (not date.strip() or not time.strip()):
        return None
    try:
        found = DT(text.strip())
    except (ValueError, TypeError):
        return None
    return datetime.combine(found.date(), found.time()) if isinstance(found, datetime) else None


def _positive(dataset: Dataset, keyword: str) -> float:
    values = read_numbers(dataset, tag_of(keyword)).values
    if len(values) != 1 or not math.isfinite(values[0]) or values[0] <= 0:
        raise _MissingInputError(keyword)
    return values[0]


def _private_number(header: Dataset, element: int) -> float | None:
    value = _private(header, *_PHILIPS, element)
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _private(header: Dataset, group: int, creator: str, element: int) -> Any:
    """Return a private value, None where there is none; bytes of an unknown representation are text."""
    try:
        block = header.private_block(group, creator)
        value = block[element].value if element in block else None
    except Exception:  # private elements are as their maker likes
        return None
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else value
