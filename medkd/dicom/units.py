"""What the values of a volume are: the unit that the header verifies, or ``raw``.

A CT image is in Hounsfield units unless it says otherwise (PS3.3 C.11.1.1.2, Rescale Type; C.8.2.1): spectral CT writes iodine, effective
atomic numbers and densities as CT images too. A real-world value map (PS3.3 C.7.6.16.2.11) counts where it is the rescale itself, or where
there is no other.
"""

from __future__ import annotations

import math

from data_contracts import IngestCode
from medkd.dicom.findings import Findings
from medkd.dicom.group import SliceGroup
from medkd.dicom.raw_values import raw_text, text_of
from medkd.dicom.real_world_value import HOUNSFIELD, RAW
from medkd.dicom.slices import Slice

UNSPECIFIED = "US"
#: Defined terms of Rescale Type (PS3.3 C.11.1.1.2) and of the units of PET (C.8.9.1.1.3): free text may hold anything and is not repeated.
RESCALE_TYPES = frozenset(
    {"OD", HOUNSFIELD, UNSPECIFIED, "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}
    | {"CNTS", "CM2", "CM2ML", "PCNT", "CPS", "BQML", "MGMINML", "UMOLMINML", "MLMING", "MLG", "1CM", "UMOLML", "PROPCNTS", "PROPCPS"}
    | {"MLMINML", "MLML", "GML", "STDDEV", "SUV", "PPM"}
)
_HOUNSFIELD = frozenset({HOUNSFIELD, "HOUNSFIELD", "HOUNSFIELD UNIT", "HOUNSFIELD UNITS", "[HNSF'U]"})
#: Fourth value of ImageType of what multi-energy CT computes that is no attenuation (PS3.3 C.8.15.3.10 and earlier usage).
_MAPS = frozenset(
    {
        "IODINE",
        "EFF_Z",
        "Z_EFF",
        "EFFECTIVE_Z",
        "EFF_ATOMIC_NUM",
        "RHO_Z",
        "ELECTRON_DENSITY",
        "ED",
        "EDW",
        "MAT_SPECIFIC",
        "MAT_FRACTIONAL",
    }
    | {"MAT_VALUE_BASED", "URIC_ACID", "CALCIUM", "WATER_MAP", "IODINE_MAP"}
)


def unit_of(group: SliceGroup, findings: Findings) -> str:
    """Return the unit of a group's values: ``HU``, a defined term, a code of UCUM, or ``raw``.

    Raises:
        IngestError: ``RESCALE_MISSING`` or ``NOT_HOUNSFIELD``, where the policy refuses them.
    """
    modality = text_of(group.header, "Modality")
    units = {_unit(item, modality) for item in group.slices}
    unit = units.pop() if len(units) == 1 else RAW
    if modality == "CT":
        if any(item.slope is None or item.intercept is None for item in group.slices):
            message = "expected rescale slope and intercept in CT, Hounsfield units cannot be computed without"
            findings.resolve(IngestCode.RESCALE_MISSING, message, {"modality": "CT"})
            return RAW
        if unit != HOUNSFIELD:
            message = f"expected Hounsfield units in CT, the header says that values are {unit if unit != RAW else 'something else'}"
            findings.resolve(IngestCode.NOT_HOUNSFIELD, message, {"unit": unit})
    return unit


def _unit(item: Slice, modality: str) -> str:
    stated = item.rescale_type.upper().strip()
    # The units of PET stand in an attribute of their own.
    stated = stated or (raw_text(item.header, 0x00541001).upper() if modality == "PT" else "")
    if item.mapping is not None:
        unit, slope, intercept = item.mapping
        same = math.isclose(slope, item.slope or 1.0) and math.isclose(intercept, item.intercept or 0.0, abs_tol=1e-9)
        if stated in ("", UNSPECIFIED):
            if same:
                return unit
            # Stored values stand for two things: Hounsfield units are only one of them where the map says so too.
            return HOUNSFIELD if modality == "CT" and unit == HOUNSFIELD else RAW
    if stated in _HOUNSFIELD:
        return HOUNSFIELD
    if modality == "CT" and not stated:
        return RAW if _MAPS & set(item.contrast[0].upper().split("\\")[2:]) else HOUNSFIELD
    if stated in RESCALE_TYPES and (stated != UNSPECIFIED or modality == "CT"):
        return stated
    return RAW
