"""A label map of an ingested volume as a DICOM Segmentation that refers to the images it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from data_contracts import DataError, Geometry
from data_contracts.private import open_private

#: How far a source image may lie from the slice that it is taken for, mm: what rounding in headers explains.
SAME_PLACE_MM = 0.05


def source_images(paths: Iterable[Path], volume: NDArray[Any], geometry: Geometry) -> list[Dataset]:
    """Return the single-frame images that a volume was read from, in the order of its slices.

    They are found by their positions, and where several images lie at one (phases, echoes, a copy) by their pixels.

    Args:
        paths: files among which they are.
        volume: voxels [slice, row, column].
        geometry: of the volume.

    Raises:
        DataError: ``SEG_SOURCE`` when a slice has no image of its own: interpolated, of a multi-frame object, or moved by a repair.
    """
    slices, rows, columns = geometry.shape
    wanted = np.array([geometry.position_lps_mm(index, 0, 0) for index in range(slices)])
    found: dict[int, list[Dataset]] = {}
    for dataset in _readable(paths):
        position = dataset.get("ImagePositionPatient")
        if not position or (dataset.get("Rows"), dataset.get("Columns")) != (rows, columns):
            continue
        distances = np.abs(wanted - np.array([float(value) for value in position])).max(axis=1)
        place = int(distances.argmin())
        if distances[place] <= SAME_PLACE_MM:
            found.setdefault(place, []).append(dataset)
    chosen = {place: own for place, several in found.items() if (own := _same_pixels(several, volume[place])) is not None}
    missing = sorted(set(range(slices)) - set(chosen))
    series = {dataset.get("SeriesInstanceUID") for dataset in chosen.values()}
    if missing or len(series) != 1:
        why = f"{len(missing)} have none (the first is slice {missing[0] + 1})" if missing else f"they are of {len(series)} series"
        raise DataError(
            "SEG_SOURCE",
            f"expected one image of one series for each of the {slices} slices, {why}: a segmentation can only refer to images that exist "
            "as they were asked about",
        )
    return [chosen[place] for place in range(slices)]


def source_picture(paths: Iterable[Path], shape: tuple[int, int, int]) -> Dataset:
    """Return the only image of a shape (frames, rows, columns): what a picture was read from.

    Raises:
        DataError: ``SEG_SOURCE`` when there is none, or several.
    """
    found = [
        dataset
        for dataset in _readable(paths)
        if (int(dataset.get("NumberOfFrames") or 1), dataset.get("Rows"), dataset.get("Columns")) == shape
    ]
    if len(found) != 1:
        raise DataError("SEG_SOURCE", f"expected the image that the picture was read from, {len(found)} have its {shape} pixels")
    return found[0]


def _readable(paths: Iterable[Path]) -> Iterator[Dataset]:
    for path in paths:
        read = _read(path)
        if read is not None:
            yield read


def _read(path: Path) -> Dataset | None:
    try:
        return pydicom.dcmread(path, force=True)
    except Exception:  # what cannot be read was refused by the ingestion, which said why
        return None


def _same_pixels(images: list[Dataset], values: NDArray[Any]) -> Dataset | None:
    """Return the only image of a position, or the one whose values are the slice's."""
    if len(images) == 1:
        return images[0]
    scale = max(float(np.abs(values).max()), 1.0)
    for image in images:
        own = _values(image)
        if own is not None and own.shape == values.shape and float(np.abs(own - values).max()) <= 1e-4 * scale:
            return image
    return None


def _values(image: Dataset) -> NDArray[Any] | None:
    try:
        return np.asarray(image.pixel_array * float(image.get("RescaleSlope", 1)) + float(image.get("RescaleIntercept", 0)))
    except Exception:  # an image that cannot be decoded is none that was asked about
        return None


#: Attributes of patient and study that every object must have, empty where nobody knows them (type 2 of PS3.3 C.7.1.1 and C.7.2.1).
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)


def complete(images: Sequence[Dataset]) -> None:
    """Give images, in memory only, the empty attributes that converted and de-identified files often leave out."""
    for image in images:
        for keyword in _MAY_BE_EMPTY:
            if keyword not in image:
                setattr(image, keyword, None)


@dataclass(frozen=True)
class SegIdentity:
    """By what a SEG and its segments are known.

    Attributes:
        series: UID of its series.
        instance: UID of itself.
        tracking: identifier and UID by which other objects name a segment's finding, by value of the label map.
        series_number: that viewers list its series by.
        description: of its series; what the algorithm is called without.
        drawn: a person drew it, and no algorithm did.
    """

    series: str = field(default_factory=generate_uid)
    instance: str = field(default_factory=generate_uid)
    tracking: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    series_number: int = 9001
    description: str = ""
    drawn: bool = False


def write_seg(
    labels: NDArray[np.uint8],
    names: Mapping[int, str],
    images: Sequence[Dataset],
    algorithm: str,
    path: Path,
    *,
    identity: SegIdentity | None = None,
    labelmap: bool = False,
) -> Path:
    """Write a label map [slice, row, column] as a DICOM SEG, one segment per value that it holds, numbered from 1 in their order.

    Patient and study are those of the images (empty where a de-identified file leaves one out), UIDs are new unless given. Research use only stands in the content description.

    Args:
        labels: 0 background; on the images' pixels.
        names: of the segments, by value.
        images: of the slices, in order.
        algorithm: name of the model and its version; of what a person drew what it is.
        path: file to write.
        identity: UIDs, and what the findings are called; new UIDs without.
        labelmap: write the small form, one image per slice, which viewers of before 2024 do not know; else a binary image per segment and slice.

    Raises:
        DataError: ``SEG_EMPTY`` when nothing is marked: an empty SEG says nothing that the table does not.
    """
    import highdicom
    from pydicom.sr.codedict import codes

    present = [int(value) for value in np.unique(labels) if value]
    if not present:
        raise DataError("SEG_EMPTY", "expected something marked, nothing was found: there is no segmentation to write")
    complete(images)
    # Names of classes are the recipe's own words: which anatomy they mean in SNOMED CT is not known here.
    generic = codes.SCT.AnatomicalStructure
    own = identity or SegIdentity()
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=names[value][:64],
            segmented_property_category=generic,
            segmented_property_type=generic,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues("MANUAL" if own.drawn else "AUTOMATIC"),
            algorithm_identification=None
            if own.drawn
            else highdicom.AlgorithmIdentificationSequence(
                name=algorithm[:64], version="research", family=codes.DCM.ArtificialIntelligence
            ),
            tracking_id=own.tracking[value][0] if own.tracking else None,
            tracking_uid=own.tracking[value][1] if own.tracking else None,
        )
        for number, value in enumerate(present, 1)
    ]
    segmentation = highdicom.seg.Segmentation(
        source_images=list(images),
        pixel_array=_numbered(labels, present) if labelmap else np.stack([labels == value for value in present], axis=-1),
        segmentation_type=highdicom.seg.SegmentationTypeValues.LABELMAP if labelmap else highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        # Most slices hold nothing: a label map of a large volume is otherwise a byte a voxel. Binary images are a bit a voxel, and RLE knows bytes.
        transfer_syntax_uid=RLELossless if labelmap else ExplicitVRLittleEndian,
        omit_empty_frames=labelmap or _is_even_without_empty(labels, present),
        series_instance_uid=own.series,
        series_number=own.series_number,
        sop_instance_uid=own.instance,
        instance_number=1,
        manufacturer="medkd",
        manufacturer_model_name="medkd",
        software_versions="research",
        device_serial_number="none",
        content_description="Research use only. Not a medical device.",
        series_description=(own.description or f"medkd {algorithm}")[:64],
    )
    with open_private(path) as stream:
        segmentation.save_as(stream, enforce_file_format=True)
    return path


def _is_even_without_empty(labels: NDArray[np.uint8], present: Sequence[int]) -> bool:
    """Return whether the bits of the images that hold something fill an even number of bytes, or those of all images fill an odd one, too.

    DICOM pads an odd number by a byte (PS3.5 8.1.1), and OHIF's reader (cornerstone adapters 4) takes a padded segmentation of 1 bit for a broken one:
    empty images are then written along, where that helps.
    """
    pixels = int(np.prod(labels.shape[1:]))
    marked = sum(int((labels == value).any(axis=(1, 2)).sum()) for value in present)
    odd, odd_with_all = (-(-count * pixels // 8) % 2 for count in (marked, len(present) * len(labels)))
    return not odd or bool(odd_with_all)


def _numbered(labels: NDArray[np.uint8], present: Sequence[int]) -> NDArray[np.uint8]:
    number = np.zeros(256, np.uint8)
    number[list(present)] = np.arange(1, len(present) + 1)
    return number[labels]
