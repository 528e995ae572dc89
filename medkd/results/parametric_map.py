"""An attribution map as a DICOM Parametric Map that every reader puts where it belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from data_contracts import DataError
from medkd.results.common import RESEARCH_ONLY, SERIES, Identity, maker, save

#: What a voxel holds (DICOM PS3.16, CID 7180 and its extension for machine learning).
SALIENCY = Code("130404", "DCM", "Saliency")


@dataclass(frozen=True)
class MapWords:
    """What a viewer shows of a map.

    Attributes:
        label: short, at most 16 characters (value representation SH).
        description: of the series, at most 64.
        explanation: what a voxel holds, at most 64.
    """

    label: str
    description: str
    explanation: str


def write_parametric_map(
    values: NDArray[np.float32], images: Sequence[Dataset], words: MapWords, identity: Identity, path: Path, *, instance: int = 1
) -> Path:
    """Write a map of floats [slice, row, column] as a Parametric Map on its images' pixels.

    Frames ascend along the normal of the slices: the standard lets each frame say where it lies, but dcmqi and the viewers that are built on
    ``@cornerstonejs/adapters`` take them in the order of the file and would mirror a map whose frames descend, as highdicom writes them.

    Args:
        values: finite.
        images: of the slices, in order; their patient and study are the map's.
        words: what a viewer shows.
        identity: that its identifiers follow from.
        path: file to write.
        instance: number within the series.

    Raises:
        DataError: ``MAP_SHAPE`` when the map is not on the images' pixels, or holds what is not finite.
    """
    import highdicom

    wanted = (len(images), int(images[0].Rows), int(images[0].Columns))
    if values.shape != wanted or not np.isfinite(values).all():
        raise DataError("MAP_SHAPE", f"expected finite values of shape {wanted}, those of the images, got {values.shape}")
    low, high = float(values.min()), float(values.max())
    limit = max(abs(low), abs(high)) or 1.0
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=words.label[:16],
        lut_explanation=words.explanation[:64],
        unit=codes.UCUM.NoUnits,
        value_range=(low, high),
        slope=1.0,
        intercept=0.0,
        quantity_definition=SALIENCY,
    )
    written = highdicom.pm.ParametricMap(
        source_images=list(images),
        pixel_array=values.astype(np.float32),
        series_instance_uid=identity.uid("parametric maps"),
        series_number=SERIES["parametric_map"],
        sop_instance_uid=identity.uid("parametric map", words.description),
        instance_number=instance,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        # Exact: a linear window is none below a width of 1 (PS3.3 C.11.2.1.2.1), and attributions may be small.
        voi_lut_transformations=[
            highdicom.VOILUTTransformation(
                window_center=0.0, window_width=2 * limit, voi_lut_function=highdicom.VOILUTFunctionValues.LINEAR_EXACT
            )
        ],
        content_qualification=highdicom.ContentQualificationValues.RESEARCH,
        content_label=_coded(words.label),
        content_description=RESEARCH_ONLY,
        series_description=words.description[:64],
        **maker(),
    )
    _ascend(written)
    _say_anatomy(written, images[0])
    return save(written, path)


def _coded(label: str) -> str:
    """Return a label as the value representation CS allows it."""
    return "".join(letter if letter.isalnum() else "_" for letter in label.upper())[:16]


def _ascend(written: Dataset) -> None:
    """Order frames along the normal of the slices (row direction x column direction), and number them so."""
    plane = written.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    normal = np.cross([float(v) for v in plane[:3]], [float(v) for v in plane[3:]])
    frames = list(written.PerFrameFunctionalGroupsSequence)
    along = [float(np.dot(normal, [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient])) for frame in frames]
    order = np.argsort(along, kind="stable")
    pixels = np.frombuffer(written.FloatPixelData, dtype="<f4").reshape(len(frames), -1)
    written.FloatPixelData = pixels[order].tobytes()
    written.PerFrameFunctionalGroupsSequence = DicomSequence([frames[place] for place in order])
    for number, frame in enumerate(written.PerFrameFunctionalGroupsSequence, 1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number]


def _say_anatomy(written: Dataset, image: Dataset) -> None:
    """Name the region with its laterality unknown: dcmqi reads it without asking whether it is there.

    With it, Laterality of the series may be left out, which highdicom does and ``dciodvfy`` calls an error otherwise.
    """
    anatomy, region = Dataset(), Dataset()
    named = image.get("AnatomicRegionSequence")
    if named:
        for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
            setattr(region, keyword, named[0].get(keyword))
    else:
        region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "38266002", "SCT", "Entire body"
    anatomy.AnatomicRegionSequence = DicomSequence([region])
    anatomy.FrameLaterality = "U"
    written.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = DicomSequence([anatomy])
    if "Laterality" in written:
        del written.Laterality
