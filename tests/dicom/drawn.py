"""Small series and what people draw on them: segmentations and structure sets with every reference and name written as a test wants it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, RTStructureSetStorage, SegmentationStorage

from data_contracts import IngestPolicy, IngestReport, StoreManifest, VolumeRef, load_record
from medkd.dicom.ingest import IngestRequest, ingest
from medkd.phantom.faulty_scan import hounsfield_at
from medkd.seeds import derive_seed
from medkd.storage.store import Store

SECRET = b"k"
MODALITIES = {"CT": CTImageStorage, "MR": MRImageStorage}


def uid(*words: object) -> str:
    return f"1.2.826.0.1.3680043.10.1561.{derive_seed('drawn', *words)}"


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, Sequence(value) if keyword.endswith("Sequence") else value)
    return dataset


def coded(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    return item(CodeValue=value, CodeMeaning=meaning, CodingSchemeDesignator=scheme)


def _dataset(storage: UID, patient: str, series: str, modality: str) -> Dataset:
    dataset = item(
        SOPClassUID=storage,
        Modality=modality,
        PatientID=patient,
        PatientName=f"{patient}^Invented",
        StudyInstanceUID=uid("study", patient),
        SeriesInstanceUID=uid("series", patient, series),
        FrameOfReferenceUID=uid("frame", patient),
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
    )
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _save(dataset: Dataset, path: Path, *words: object) -> Dataset:
    dataset.SOPInstanceUID = uid("instance", dataset.SeriesInstanceUID, *words)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def draw_series(
    folder: Path,
    *,
    slices: int = 8,
    matrix: tuple[int, int] = (20, 24),
    spacing: tuple[float, float] = (1.5, 1.0),
    origin: tuple[float, float, float] = (-10.0, -14.0, 30.0),
    axes: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    patient: str = "Patient1",
    series: str = "one",
    modality: str = "CT",
    add: float = 0.0,
    scale: float = 1.0,
    values: np.ndarray | None = None,
    **attributes: Any,
) -> list[Dataset]:
    """Write a series, its voxels a function of the place plus ``add`` (or ``values``); returns its slices in their order."""
    written = []
    along, down = np.array(axes[:3], float), np.array(axes[3:], float)
    for number in range(slices):
        dataset = _dataset(MODALITIES[modality], patient, series, modality)
        corner = np.array(origin) + np.cross(along, down) * 2.0 * number
        rows, columns = np.meshgrid(np.arange(matrix[0]), np.arange(matrix[1]), indexing="ij")
        points = corner + rows[..., None] * down * spacing[0] + columns[..., None] * along * spacing[1]
        pixels = hounsfield_at(points * scale) + add if values is None else values[number]
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [round(float(v), 6) for v in corner], list(map(float, axes))
        dataset.PixelSpacing, dataset.SliceThickness, dataset.InstanceNumber = list(spacing), 2.0, number + 1
        dataset.Rows, dataset.Columns = matrix
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        dataset.PixelData = np.rint(pixels).astype("<i2").tobytes()
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        written.append(_save(dataset, folder / f"{series}{number:03d}.dcm", series, number, str(sorted(attributes.items()))))
    return written


def referring(images: list[Dataset]) -> list[Dataset]:
    return [item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID) for image in images]


def draw_segmentation(
    path: Path,
    images: list[Dataset],
    masks: dict[int, np.ndarray],
    names: dict[int, str],
    *,
    drawn_on: list[Dataset] | None = None,
    listed: list[list[Dataset]] | None = None,
    turn: Any = None,
    empty_frames: bool = False,
    codes: dict[int, Dataset] | None = None,
) -> Dataset:
    """Write a binary SEG of masks [slice, row, column].

    Args:
        path: of the file.
        images: whose grid the frames lie on.
        masks: by segment number.
        names: segment labels.
        drawn_on: images that the frames refer to, by slice; None: no derivation.
        listed: series that are listed with their instances; an entry may be ("series", image) to list no instance.
        turn: (frame, corner mm, axes, spacing) → the same as another program would write it.
        empty_frames: write frames that hold nothing.
        codes: property types.
    """
    first = images[0]
    dataset = _dataset(SegmentationStorage, str(first.PatientID), f"seg {path.name}", "SEG")
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.SegmentationType, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = "BINARY", 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.SegmentSequence = Sequence(
        [
            item(
                SegmentNumber=number,
                SegmentLabel=names[number],
                SegmentedPropertyTypeCodeSequence=[(codes or {}).get(number, coded("85756007", "Tissue"))],
            )
            for number in masks
        ]
    )
    if listed is not None:
        dataset.ReferencedSeriesSequence = Sequence(
            [
                item(SeriesInstanceUID=some[1].SeriesInstanceUID, ReferencedInstanceSequence=[])
                if some[0] == "series"
                else item(SeriesInstanceUID=some[0].SeriesInstanceUID, ReferencedInstanceSequence=referring(some))
                for some in listed
            ]
        )
    frames, groups = [], []
    for number, mask in masks.items():
        for place, image in enumerate(images):
            if not (mask[place].any() or empty_frames):
                continue
            axes, spacing = np.array(image.ImageOrientationPatient, float), np.array(image.PixelSpacing, float)
            frame, corner = mask[place], np.array(image.ImagePositionPatient, float)
            if turn is not None:
                frame, corner, axes, spacing = turn(frame, corner, axes, spacing)
            frames.append(frame)
            group = item(
                SegmentIdentificationSequence=[item(ReferencedSegmentNumber=number)],
                PlanePositionSequence=[item(ImagePositionPatient=[round(float(v), 6) for v in corner])],
                PlaneOrientationSequence=[item(ImageOrientationPatient=[float(v) for v in axes])],
                PixelMeasuresSequence=[item(PixelSpacing=[float(v) for v in spacing])],
            )
            if drawn_on is not None:
                group.DerivationImageSequence = Sequence([item(SourceImageSequence=referring([drawn_on[place]]))])
            groups.append(group)
    dataset.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.NumberOfFrames, (dataset.Rows, dataset.Columns) = len(frames), frames[0].shape
    packed = np.packbits(np.array(frames, dtype=np.uint8).ravel(), bitorder="little").tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    return _save(dataset, path, path.name)


def box(images: list[Dataset], slices: Any, rows: tuple[float, float], columns: tuple[float, float]) -> list[tuple[int, list[Any]]]:
    """Return rectangles between rows and columns (in voxels, any fraction) on some slices, as contours in mm."""
    return [
        (
            place,
            [
                point(images[place], r, c)
                for r, c in ((rows[0], columns[0]), (rows[0], columns[1]), (rows[1], columns[1]), (rows[1], columns[0]))
            ],
        )
        for place in slices
    ]


def point(image: Dataset, row: float, column: float) -> np.ndarray:
    """Return the LPS mm of a place (row, column) in voxels on a slice."""
    axes = np.array(image.ImageOrientationPatient, float)
    spacing = np.array(image.PixelSpacing, float)
    return np.array(image.ImagePositionPatient, float) + axes[3:] * spacing[0] * row + axes[:3] * spacing[1] * column


def draw_structures(
    path: Path,
    images: list[Dataset],
    regions: list[tuple[Any, ...]],
    *,
    drawn_on: list[Dataset] | None = None,
    listed: list[list[Dataset]] | None = None,
    kind: str = "CLOSED_PLANAR",
    decimals: int = 4,
    frame: str | None = None,
) -> Dataset:
    """Write an RTSTRUCT of regions (number, name, interpreted type, [(slice, points [n, 3] mm), …][, code])."""
    first = images[0]
    dataset = _dataset(RTStructureSetStorage, str(first.PatientID), f"rt {path.name}", "RTSTRUCT")
    del dataset.FrameOfReferenceUID
    frame = str(first.FrameOfReferenceUID) if frame is None else frame
    studies = [
        item(
            RTReferencedSeriesSequence=[
                item(SeriesInstanceUID=some[0].SeriesInstanceUID, ContourImageSequence=referring(some)) for some in listed
            ]
        )
    ] if listed is not None else []  # fmt: skip
    dataset.ReferencedFrameOfReferenceSequence = Sequence(
        [item(FrameOfReferenceUID=frame, RTReferencedStudySequence=studies)] if frame else []
    )
    dataset.StructureSetROISequence = Sequence([item(ROINumber=region[0], ROIName=region[1]) for region in regions])
    dataset.RTROIObservationsSequence = Sequence(
        [
            item(
                ReferencedROINumber=region[0],
                RTROIInterpretedType=region[2],
                **({"RTROIIdentificationCodeSequence": [region[4]]} if len(region) > 4 else {}),
            )
            for region in regions
        ]
    )
    drawn = []
    for region in regions:
        contours = []
        for place, points in region[3]:
            written = [f"{value:.{decimals}f}" for value in np.asarray(points).ravel()]
            contour = item(ContourGeometricType=kind, NumberOfContourPoints=len(points), ContourData=written)
            if drawn_on is not None:
                contour.ContourImageSequence = Sequence(referring([drawn_on[place]]))
            contours.append(contour)
        drawn.append(item(ReferencedROINumber=region[0], ContourSequence=contours))
    dataset.ROIContourSequence = Sequence(drawn)
    return _save(dataset, path, path.name)


def write_nifti_mask(path: Path, series: list[Dataset], values: np.ndarray) -> None:
    """Write voxels [slice, row, column] on the grid of an axial series."""
    first, spacing = np.array(series[0].ImagePositionPatient, float), np.array(series[0].PixelSpacing, float)
    affine = np.diag([-spacing[1], -spacing[0], 2.0, 1.0])
    affine[:3, 3] = [-first[0], -first[1], first[2]]
    values = values.astype(np.uint8) if values.dtype == bool else values
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values.transpose(2, 1, 0)), affine), path)


class Ingested:
    """An ingested folder: its report, volumes and label maps."""

    def __init__(self, folder: Path, policy: IngestPolicy | None = None, out: str = "store") -> None:
        self.out = folder.parent / out
        self.report: IngestReport = ingest(IngestRequest(folder, self.out, policy or IngestPolicy()), secret=SECRET)
        self.volumes = load_record(self.out / "manifest.json", StoreManifest).volumes
        self.store = Store(self.out)

    def outcome(self, name: str) -> Any:
        (found,) = [file for file in self.report.files if file.path.endswith(name)]
        return found

    def voxels(self, volume: VolumeRef) -> np.ndarray:
        return self.store.read_tensors(volume.array)["volume"].numpy()

    def labelled(self) -> VolumeRef:
        (volume,) = [volume for volume in self.volumes if volume.label is not None]
        return volume

    def label(self, volume: VolumeRef | None = None) -> np.ndarray:
        label = (volume or self.labelled()).label
        assert label is not None
        return self.store.read_tensors(label.array)["label"].numpy()

    def structures(self, volume: VolumeRef | None = None) -> dict[str, int]:
        label = (volume or self.labelled()).label
        assert label is not None
        values = self.label(volume)
        return {segment.name: int((values == segment.value).sum()) for segment in label.segments}


def reread(path: Path, change: Any) -> None:
    """Change a written object in place."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
