"""The phantom's pictures: invented radiographs, mammograms and ultrasound as their consoles export them, with lesion segmentations.

A picture is any array of pixels; what its kind of object needs beside them is invented here. :func:`write_phantom_pictures` writes a cohort of
ultrasound pictures of the phantom's lesions, whose class travels as ``class=NAME`` in the segment's description.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import highdicom as hd
import numpy as np
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from medkd.phantom.render import CLASSES, HU_OFFSET, HU_PER_UNIT, draw_cases, render_slices
from medkd.seeds import derive_seed

Kind = Literal["CR", "DX", "MG", "US", "SC"]
_ROOT = "1.2.826.0.1.3680043.10.1561."
_SINGLE, _CINE = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
_CLASS_OF: dict[Kind, str] = {
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": _SINGLE,
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}
_OWN: dict[Kind, dict[str, Any]] = {
    "CR": {"ViewPosition": "AP", "ImagerPixelSpacing": [0.2, 0.2], "BodyPartExamined": "CHEST"},
    "DX": {
        "ViewPosition": "PA",
        "ImagerPixelSpacing": [0.14, 0.14],
        "PresentationIntentType": "FOR PRESENTATION",
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1,
        "PresentationLUTShape": "IDENTITY",
        "BurnedInAnnotation": "NO",
        "BodyPartExamined": "CHEST",
    },
    "MG": {
        "ImageLaterality": "L",
        "ViewPosition": "CC",
        "ImagerPixelSpacing": [0.07, 0.07],
        "EstimatedRadiographicMagnificationFactor": 1.1,
        "PresentationIntentType": "FOR PRESENTATION",
        "PresentationLUTShape": "IDENTITY",
        "BurnedInAnnotation": "NO",
        "BodyPartExamined": "BREAST",
    },
    "US": {"BurnedInAnnotation": "NO"},
    "SC": {"ConversionType": "WSD", "BurnedInAnnotation": "NO"},
}


@dataclass(frozen=True)
class Picture:
    """An invented picture.

    Attributes:
        pixels: unsigned [row, column], [frame, row, column], or with three colours last.
        kind: of object; ``SC`` is a secondary capture.
        patient: number of the patient.
        number: of the picture among all: it makes its UIDs.
        colours: whether the last axis is red, green and blue.
        bits: BitsStored; None takes those of the array's type.
        attributes: further attributes by keyword; None takes one away.
    """

    pixels: NDArray[Any]
    kind: Kind = "US"
    patient: int = 0
    number: int = 0
    colours: bool = False
    bits: int | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


def picture_dataset(picture: Picture) -> Dataset:
    """Return the DICOM object of a picture."""
    pixels = np.ascontiguousarray(picture.pixels)
    space = pixels.shape[:-1] if picture.colours else pixels.shape
    frames, (rows, columns) = (space[0] if len(space) == 3 else 1), space[-2:]
    dataset, stored = Dataset(), 8 * pixels.dtype.itemsize
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = _CINE if picture.kind == "US" and frames > 1 else _CLASS_OF[picture.kind]
    dataset.SOPInstanceUID = _uid("picture", picture.number)
    dataset.PatientName, dataset.PatientID = f"Testcase^Picture{picture.patient}", f"HOSP-{204729 + 31 * picture.patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600115", "FM"[picture.patient % 2]
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID, dataset.AccessionNumber = "20250103", "101500", "S1", "ACC1"
    dataset.ReferringPhysicianName = "Referrer^Rita"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid("study", picture.patient), _uid("series", picture.patient, picture.kind)
    dataset.Modality, dataset.Manufacturer = "OT" if picture.kind == "SC" else picture.kind, "medkd phantom"
    dataset.SeriesNumber, dataset.InstanceNumber, dataset.ImageType = 1, picture.number + 1, ["ORIGINAL", "PRIMARY"]
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = rows, columns, 3 if picture.colours else 1
    dataset.PhotometricInterpretation = "RGB" if picture.colours else "MONOCHROME2"
    bits = picture.bits or stored
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = stored, bits, bits - 1, 0
    if picture.colours:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames, dataset.FrameTime, dataset.FrameIncrementPointer = frames, 40.0, 0x00181063
    for keyword, value in {**_OWN[picture.kind], **picture.attributes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if stored == 8 else "OW"
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    return dataset


def write_picture(path: Path, picture: Picture) -> Dataset:
    """Write a picture and return its object."""
    dataset = picture_dataset(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def ultrasound_region(box: tuple[int, int, int, int], *, delta_cm: float = 0.02, spatial_format: int = 1, unit: int = 3) -> Dataset:
    """Return a calibrated region of an ultrasound picture. Source: PS3.3 C.8.5.5.

    Args:
        box: first column, first row, last column, last row; all belong to it.
        delta_cm: distance between pixels along both axes.
        spatial_format: 1 for two dimensions of space, 2 for motion, 3 for a spectrum.
        unit: of both axes: 3 for centimetres.
    """
    region = Dataset()
    region.RegionLocationMinX0, region.RegionLocationMinY0, region.RegionLocationMaxX1, region.RegionLocationMaxY1 = box
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = spatial_format, 1, 0
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = unit
    region.PhysicalDeltaX = region.PhysicalDeltaY = delta_cm
    return region


def write_picture_label(path: Path, picture: Dataset, mask: NDArray[Any], class_name: str) -> Dataset:
    """Write the segmentation of a lesion on a picture, with the class of the picture, and return its object.

    Args:
        path: of the file.
        picture: the object that it was drawn on, of one frame.
        mask: [row, column], non-zero inside.
        class_name: lower-case word.
    """
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=CodedConcept("52988006", "SCT", "Lesion"),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=_uid("tracking", picture.SOPInstanceUID),
        tracking_id="phantom-lesion",
    )
    description.SegmentDescription = f"class={class_name}"
    segmentation = hd.seg.Segmentation(
        source_images=[picture],
        pixel_array=(mask > 0).astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=_uid("seg-series", picture.SOPInstanceUID),
        series_number=100,
        sop_instance_uid=_uid("seg", picture.SOPInstanceUID),
        instance_number=1,
        manufacturer="medkd phantom",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="1",
    )
    segmentation.PatientOrientation = None  # of an image without a place in the patient it may be unknown, and is not left out
    segmentation.save_as(path, enforce_file_format=True)
    return segmentation


def write_phantom_pictures(out: Path, *, pictures: int = 32, seed: int = 7, contrast: tuple[float, float] = (0.15, 0.45)) -> None:
    """Write a cohort of ultrasound pictures, each of a patient of its own, 64 x 64 pixels, with their segmentations.

    Args:
        out: folder; one folder per patient is made below it.
        pictures: how many.
        seed: of the cases.
        contrast: least and largest contrast of a lesion.
    """
    cases = draw_cases(pictures, seed, contrast=contrast)
    hu, masks = render_slices(cases, cases.key_slice)
    shown = np.clip((hu.numpy() - HU_OFFSET) * (255 / HU_PER_UNIT), 0, 255).round().astype(np.uint8)
    for number, pixels in enumerate(shown):
        folder = out / f"patient{number:03d}"
        dataset = write_picture(folder / "us.dcm", Picture(pixels, patient=number, number=number))
        write_picture_label(folder / "seg.dcm", dataset, masks[number].numpy(), CLASSES[int(cases.label[number])])


def _uid(*parts: object) -> str:
    return f"{_ROOT}{derive_seed('uid', 'pictures', *parts)}"
