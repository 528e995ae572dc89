"""What a picture is in the place of a geometry: pixels without a place in the patient, and what the header says of how they came about."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from data_contracts.record import Finite, FrozenModel

#: What the distance between pixels is measured at.
SpacingKind = Literal["calibrated", "stated", "detector", "scanned", "ultrasound region"]
#: How values become the brightness that is shown. Source: PS3.3 C.11.1, C.11.2.
ValuesOfInterest = Literal["whole range", "LINEAR", "LINEAR_EXACT", "SIGMOID", "table"]


class PixelSpacing(FrozenModel):
    """The distance between pixel centres of a picture, mm, and what it is measured at; nothing of it is verified.

    Attributes:
        between_rows_mm: from one row to the next, mm.
        between_columns_mm: from one column to the next, mm.
        kind: ``calibrated`` in the patient, by an object of known size or by the geometry (PixelSpacingCalibrationType); ``stated`` as
            PixelSpacing without a word of how; ``detector`` at the detector's front (ImagerPixelSpacing): what lies before it is smaller by its
            magnification; ``scanned`` on a film (NominalScannedPixelSpacing); ``ultrasound region``, of the one region in space.
        calibration: PixelSpacingCalibrationType as it is written, "" where it is not.
        magnification: EstimatedRadiographicMagnificationFactor; None where it is not stated. The spacing is not divided by it.
    """

    between_rows_mm: Finite = Field(gt=0)
    between_columns_mm: Finite = Field(gt=0)
    kind: SpacingKind
    calibration: str = ""
    magnification: Finite | None = Field(default=None, gt=0)


class DisplayRule(FrozenModel):
    """How a picture's values were brought to what is shown and what networks see, 0 (black) to 255 (white).

    Attributes:
        values_of_interest: what chose the values: a window of the header and its function, its table, or nothing: the whole range that the
            header allows.
        centre: of the window, in the unit of the values.
        width: of the window.
        photometric: PhotometricInterpretation as it is written.
        inverted: whether the scale was turned so that larger is brighter, once, after the values of interest were chosen.
        modality_table: whether a modality look-up table made the values of the stored ones.
        relationship: PixelIntensityRelationship of a radiograph, "" where it is not stated.
        sign: PixelIntensityRelationshipSign: 1 where larger stored values mean more X-ray, -1 where they mean less, None where it is not stated.
        colours: how colours were brought to grey, "" of a picture that has none.
    """

    values_of_interest: ValuesOfInterest = "whole range"
    centre: Finite | None = None
    width: Finite | None = None
    photometric: str = "MONOCHROME2"
    inverted: bool = False
    modality_table: bool = False
    relationship: str = ""
    sign: int | None = None
    colours: str = ""


class PictureGrid(FrozenModel):
    """The grid of a picture, which has no place in the patient: nothing in mm is measured in it.

    Frames of a cine lie along the first axis in their order; that axis is time and no direction in space.

    Attributes:
        shape: frames, rows, columns.
        spacing: between pixels, as the header states it; None where it states none.
        display: how the values became what is shown.
        laterality: ``L``, ``R``, ``B`` or ``U``, "" where it is not stated.
        view: view or projection (ViewPosition or its code): ``CC``, ``MLO``, ``PA``, ``LL`` and the like, "" where it is not stated.
        intent: ``FOR PRESENTATION`` or ``FOR PROCESSING``, "" where it is not stated.
        frame_time_ms: from one frame to the next; None of a single frame, or where frames are not evenly timed.
        coloured_pixels: pixels whose colour is no grey, of all frames: of an ultrasound those of a Doppler map.
    """

    shape: tuple[int, int, int]
    spacing: PixelSpacing | None = None
    display: DisplayRule = DisplayRule()
    laterality: Literal["", "L", "R", "B", "U"] = ""
    view: str = ""
    intent: Literal["", "FOR PRESENTATION", "FOR PROCESSING"] = ""
    frame_time_ms: Finite | None = Field(default=None, gt=0)
    coloured_pixels: int = Field(default=0, ge=0)

    def model_post_init(self, context: Any) -> None:
        """Refuse a picture without pixels."""
        if min(self.shape) < 1:
            raise ValueError(f"expected a shape of at least one pixel per axis, got {self.shape}")
