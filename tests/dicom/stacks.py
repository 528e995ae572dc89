"""Series of which several images lie at one place, and enhanced objects of any frames."""

from __future__ import annotations

import numpy as np
import pydicom
from pydicom import Dataset, Sequence
from pydicom.uid import EnhancedMRImageStorage

from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import TIME_STEP_HU, hounsfield_at


def stack(folder, count, label, *, edit=None):
    """Write a series of ``count`` images at each place, the n-th of them n steps brighter; ``label(dataset, n)`` says what differs."""
    paths = write_case(folder, "regular")
    for path in paths:
        dataset = pydicom.dcmread(path)
        for keyword in ("AcquisitionNumber", "AcquisitionTime"):
            del dataset[keyword]
        instance, values = dataset.SOPInstanceUID, dataset.pixel_array.astype(int)
        path.unlink()
        for number in range(count):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{instance}.{number + 1}"
            dataset.PixelData = (values + int(TIME_STEP_HU) * number).astype("<u2").tobytes()
            label(dataset, number)
            dataset.save_as(folder / f"{path.stem}-{number}.dcm")
    return folder


CLASSIC = {
    "InversionTime": (200, 900),
    "FlipAngle": (5, 25),
    "KVP": (80, 140),
    "ConvolutionKernel": ("B30f", "B70f"),
    "FrameReferenceTime": (1000.5, 3000.5),
    "RepetitionTime": (500, 2000),
    "EchoTime": (10.5, 30.5),
    "ReconstructionDiameter": (200, 350),
    "TriggerTime": (0, 120),
    "AcquisitionDateTime": ("20240101101500.25", "20240101101500.75"),
    "InPlanePhaseEncodingDirection": ("ROW", "COL"),
    "SequenceName": ("ep2d_a", "ep2d_b"),
    "NominalInterval": (700, 900),
    "ReceiveCoilName": ("HEAD", "BODY"),
}


def along(dataset):
    return float(dataset.ImagePositionPatient[2])


def of(**values):
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, Sequence([value]) if isinstance(value, Dataset) else value)
    return item


def enhanced(path, frames, *, name="one", modality="MR"):
    """Write an enhanced object: frames of (place along z, brightness in steps, functional groups)."""
    (first,) = write_case(path.parent / "mould", "enhanced")
    whole = pydicom.dcmread(first)
    first.unlink()
    first.parent.rmdir()
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.Modality, whole.ImageType = modality, ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{sum(map(ord, name))}"
    rows, columns = np.meshgrid(np.arange(whole.Rows), np.arange(whole.Columns), indexing="ij")
    groups, planes = [], []
    for z, bright, extra in frames:
        points = np.stack([-18 + columns * 1.25, 9 + rows * 1.5, np.full(rows.shape, float(z))], -1)
        planes.append(np.rint(hounsfield_at(points) + 1024 + TIME_STEP_HU * bright))
        rescale = of(RescaleIntercept=-1024, RescaleSlope=1, RescaleType="US")
        position = of(ImagePositionPatient=[-18, 9, z])
        groups.append(of(PlanePositionSequence=position, PixelValueTransformationSequence=rescale, **extra))
    whole.NumberOfFrames, whole.PerFrameFunctionalGroupsSequence = len(frames), Sequence(groups)
    whole.PixelData = np.array(planes).astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save_as(path)
