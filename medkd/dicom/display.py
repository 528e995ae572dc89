"""From the stored values of a picture to modality values, and from those to what is shown: 0 (black) to 255 (white).

The order is the standard's: modality table or rescale, values of interest (window or table), and last the polarity, once. Source: PS3.3 C.11.1,
C.11.2 (with C.11.2.1.2 and C.11.2.1.3 for the functions of a window), C.7.6.3.1.2 (MONOCHROME1), C.11.4 and C.11.6 (Presentation LUT Shape).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from data_contracts import DisplayRule, IngestCode, IngestError
from medkd.dicom.lookup_table import LookupTable, read_table
from medkd.dicom.pixel_plan import PixelPlan
from medkd.dicom.raw_values import has, raw_text, read_numbers, tag_of

#: White.
WHITE = 255.0
#: What is shown is whole where it is nearer to whole numbers than this: windows that change nothing leave a rounding error.
_WHOLE = 1e-4
WindowFunction = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
_FUNCTIONS: tuple[WindowFunction, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Display:
    """How the stored values of a picture are brought to modality values, and those to what is shown.

    Attributes:
        rule: as the record says it.
        slope: of the rescale.
        intercept: of the rescale.
        modality: table in the place of the rescale, or None.
        interest: table of the values of interest, or None.
        span: smallest and largest modality value that the header allows.
    """

    rule: DisplayRule
    slope: float
    intercept: float
    modality: LookupTable | None
    interest: LookupTable | None
    span: tuple[float, float]

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return modality values of stored ones: whole numbers stay whole where the rescale keeps them so."""
        if self.modality is not None:
            return self.modality.apply(stored)
        if self.slope == 1 and self.intercept == 0:
            return stored
        return stored.astype(np.float64) * self.slope + self.intercept

    def shown(self, values: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return what is shown of modality values, 0 to 255, larger is brighter: uint8 where all are whole, else float32."""
        scaled = self._chosen(values) * WHITE
        if self.rule.inverted:
            scaled = WHITE - scaled
        return as_shown(scaled)

    def _chosen(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return the values of interest, 0 to 1."""
        rule = self.rule
        if self.interest is not None:
            return self.interest.apply(values) / self.interest.largest
        if (
            rule.values_of_interest != "whole range"
            and rule.values_of_interest != "table"
            and rule.centre is not None
            and rule.width is not None
        ):
            return windowed(values, rule.centre, rule.width, rule.values_of_interest)
        low, high = self.span
        chosen: NDArray[np.float64] = np.clip((values.astype(np.float64) - low) / (high - low), 0.0, 1.0)
        return chosen


def as_shown(scaled: NDArray[Any]) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Return values from 0 to 255 as uint8 where all are whole, else as float32."""
    whole = np.rint(scaled)
    return whole.astype(np.uint8) if np.abs(scaled - whole).max(initial=0) < _WHOLE else scaled.astype(np.float32)


def windowed(values: NDArray[Any], centre: float, width: float, function: WindowFunction) -> NDArray[np.float64]:
    """Return values through a window, 0 to 1. Source: PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.2 (LINEAR_EXACT), C.11.2.1.3.1 (SIGMOID).

    Args:
        values: any shape.
        centre: of the window.
        width: of the window; at least 1 for LINEAR, above 0 for the others.
        function: of the window.
    """
    given = values.astype(np.float64)
    if function == "SIGMOID":
        # The logistic function by its other name: exp overflows far below the centre, tanh does not.
        return 0.5 * (1 + np.tanh(2 * (given - centre) / width))
    if function == "LINEAR":
        if width == 1:
            return (given > centre - 0.5).astype(np.float64)
        centre, width = centre - 0.5, width - 1
    chosen: NDArray[np.float64] = np.clip((given - centre) / width + 0.5, 0.0, 1.0)
    return chosen


def read_display(header: Dataset, plan: PixelPlan) -> Display:
    """Return how a picture's values are shown.

    Where a header has several windows or tables the first one counts, a table before a window. A window whose width shows nothing is none.

    Args:
        header: of the picture.
        plan: how one of its frames is decoded.

    Raises:
        IngestError: ``NONLINEAR_LUT`` for a table that contradicts itself or a function of a window that is none of the standard's,
            ``NAN_OR_INF`` for a rescale that is not finite, ``UNREADABLE_NUMBER`` for one that makes all values one.
    """
    if not (math.isfinite(plan.slope) and math.isfinite(plan.intercept)):
        message = f"expected a finite slope and intercept, got {plan.slope} and {plan.intercept}"
        raise IngestError(IngestCode.NAN_OR_INF, message, {"file": plan.relative})
    modality = _first_table(header, "ModalityLUTSequence", signed=plan.signed)
    if modality is None and plan.slope == 0:
        message = "expected a rescale slope other than 0, which makes all values one"
        raise IngestError(IngestCode.UNREADABLE_NUMBER, message, {"file": plan.relative})
    span = (0.0, float(modality.largest)) if modality is not None else _span(plan)
    interest = _first_table(header, "VOILUTSequence", signed=modality is None and span[0] < 0)
    inverted = plan.photometric == "MONOCHROME1" or raw_text(header, 0x20500020).upper() == "INVERSE"
    sign = read_numbers(header, 0x00281041).values
    rule = DisplayRule(
        values_of_interest="whole range" if interest is None else "table",
        photometric=plan.photometric,
        inverted=inverted,
        modality_table=modality is not None,
        relationship=_relationship(header),
        sign=int(sign[0]) if len(sign) == 1 and sign[0] in (1, -1) else None,
    )
    if interest is None and (window := _window(header)) is not None:
        function, centre, width = window
        rule = rule.model_copy(update={"values_of_interest": function, "centre": centre, "width": width})
    return Display(rule, plan.slope, plan.intercept, modality, interest, span)


def _span(plan: PixelPlan) -> tuple[float, float]:
    stored = plan.bits[1]
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if plan.signed else (0, (1 << stored) - 1)
    ends = sorted((low * plan.slope + plan.intercept, high * plan.slope + plan.intercept))
    return ends[0], ends[1]


def _first_table(header: Dataset, keyword: str, *, signed: bool) -> LookupTable | None:
    if not has(header, keyword):
        return None
    try:
        items = list(header.get(keyword) or [])
    except Exception as error:  # a sequence can be broken in ways no rule foresees
        message = f"expected a {keyword} that can be read ({type(error).__name__})"
        raise IngestError(IngestCode.NONLINEAR_LUT, message, {"sequence": keyword}) from error
    return read_table(items[0], "LUTDescriptor", "LUTData", signed=signed) if items else None


def _window(header: Dataset) -> tuple[WindowFunction, float, float] | None:
    centres, widths = (read_numbers(header, tag_of(name)).values for name in ("WindowCenter", "WindowWidth"))
    if not centres or not widths or not (math.isfinite(centres[0]) and math.isfinite(widths[0])):
        return None
    stated = raw_text(header, 0x00281056).upper() or "LINEAR"
    function = next((one for one in _FUNCTIONS if one == stated), None)
    if function is None:
        message = f"expected one of {', '.join(_FUNCTIONS)} as VOILUTFunction, got another one"
        raise IngestError(IngestCode.NONLINEAR_LUT, message, {"function": "unknown"})
    least = 1.0 if function == "LINEAR" else 0.0
    return (function, centres[0], widths[0]) if widths[0] >= least and widths[0] > 0 else None


def _relationship(header: Dataset) -> str:
    stated = raw_text(header, 0x00281040).upper()
    return stated if stated in ("LIN", "LOG") else ""
