"""Real-world value maps: what stored values stand for in a unit of their own (PS3.3 C.7.6.16.2.11)."""

from __future__ import annotations

import math

from pydicom import Dataset

from medkd.dicom.raw_values import read_numbers, tag_of

HOUNSFIELD, RAW = "HU", "raw"
#: Units of real-world value maps, codes of UCUM: a closed list, since free text may hold anything.
_UCUM = (
    *("mg/mL", "mg/ml", "g/mL", "g/ml", "g/cm3", "mg/cm3", "um2/s", "mm2/s", "10-6.mm2/s", "10-3.mm2/s", "s", "ms", "Bq/mL", "Bq/ml"),
    *("{SUVbw}g/ml", "{SUVbw}g/mL", "{SUVlbm}g/ml", "%", "[ppm]", "Hz", "mL/min", "/s", "1/s", "10+23/ml", "10*23/ml", "kPa"),
    *("ml/(100.g.min)", "mL/100mL", "cm/s", "mm/s"),
)
_REAL_WORLD = tag_of(0x00409096)


def real_world_value_map(places: tuple[Dataset, ...]) -> tuple[str, float, float] | None:
    """Return unit, slope and intercept of the one linear real-world value map (PS3.3 C.7.6.16.2.11), None where there is no such."""
    items: list[Dataset] = next((list(place[_REAL_WORLD].value or ()) for place in places if _REAL_WORLD in place), [])
    # Several maps give one stored value several meanings: which one is meant is not guessed.
    if len(items) != 1:
        return None
    slope, intercept = read_numbers(items[0], 0x00409225).values, read_numbers(items[0], 0x00409224).values
    units = items[0].get("MeasurementUnitsCodeSequence") or ()
    code = str(units[0].get("CodeValue", "")).strip() if units else ""
    # As UCUM writes the Hounsfield unit.
    unit = HOUNSFIELD if code == "[hnsf'U]" else code if code in _UCUM else RAW
    numbers = (*slope, *intercept)
    if len(slope) != 1 or len(numbers) != 2 or not code or not all(map(math.isfinite, numbers)):
        return None
    return unit, numbers[0], numbers[-1]
