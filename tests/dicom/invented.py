"""Headers, files, slices and volumes that were never written: what a pure function needs of them and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import CTImageStorage

from data_contracts import Geometry, Ref, VolumeRef
from medkd.dicom.confidentiality.secret import pseudonym
from medkd.dicom.found_file import FoundFile
from medkd.dicom.group import SliceGroup, group_slices
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.slices import Slice, slices_of

SECRET = b"k"


def header(z: float = 0.0, **values: Any) -> Dataset:
    """Return the header of an axial CT slice of 4 x 6 pixels at a height in mm; None takes an attribute away."""
    dataset = Dataset()
    given = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.{round(1000 + 10 * z)}",
        "StudyInstanceUID": "1.3.1",
        "SeriesInstanceUID": "1.3.2",
        "FrameOfReferenceUID": "1.3.3",
        "PatientID": "P1",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "ImagePositionPatient": [0.0, 0.0, z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [1.5, 1.0],
        "Rows": 4,
        "Columns": 6,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        **values,
    }
    for keyword, value in given.items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


def found(name: str = "a.dcm", dataset: Dataset | None = None, **more: Any) -> FoundFile:
    """Return a file of a source; it lies nowhere."""
    return FoundFile(Path(name), name, more.pop("digest", name), dataset, **{"pixels": PixelPlace(0, 48), **more})


def slice_at(z: float, **values: Any) -> Slice:
    """Return a slice at a height in mm."""
    (item,) = slices_of(found(values.pop("name", f"{z:+09.2f}.dcm"), header(z, **values)))
    return item


def group_of(slices: list[Slice]) -> SliceGroup:
    """Return the one group that slices form."""
    (group,) = group_slices(slices)
    return group


def volume(name: str = "one", *, patient: str = "P1", shape: tuple[int, int, int] = (4, 5, 6), **more: Any) -> VolumeRef:
    """Return a stored volume of 2 x 1.5 x 1 mm voxels whose corner lies at (10, 20, 30) mm."""
    lines = ((0.0, 0.0, 1.0, 10.0), (0.0, 1.5, 0.0, 20.0), (2.0, 0.0, 0.0, 30.0), (0.0, 0.0, 0.0, 1.0))
    key = pseudonym(SECRET, "series", name)
    return VolumeRef(
        array=Ref(store="store", key=f"volumes/{key}.safetensors", sha256=more.pop("sha256", "0" * 64)),
        geometry=Geometry(shape=shape, affine_lps_mm=lines, spacing_mm=(2.0, 1.5, 1.0), residual_mm=0.0),
        unit="HU",
        modality="CT",
        patient_key=pseudonym(SECRET, "patient", patient),
        study_key=pseudonym(SECRET, "study", patient),
        series_key=key,
        **more,
    )
