"""A small CT volume and labels drawn on it in every format, from one mask that is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import pydicom
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid
from skimage.measure import find_contours

from medkd.phantom.dicom_faults import write_case
from medkd.phantom.faulty_scan import Variant


@dataclass
class Labelled:
    """A written series [slice, row, column] in the order of the volume, and where more may be written."""

    folder: Path
    slices: list[Dataset]

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(self.slices), int(self.slices[0].Rows), int(self.slices[0].Columns))

    def affine_lps_mm(self) -> np.ndarray:
        first, last = self.slices[0], self.slices[-1]
        origin, end = (np.array(s.ImagePositionPatient, float) for s in (first, last))
        along_row, along_column = np.array(first.ImageOrientationPatient[:3], float), np.array(first.ImageOrientationPatient[3:], float)
        affine = np.eye(4)
        affine[:3, 0] = (end - origin) / (len(self.slices) - 1)
        affine[:3, 1], affine[:3, 2] = along_column * first.PixelSpacing[0], along_row * first.PixelSpacing[1]
        affine[:3, 3] = origin
        return affine

    def balls(self) -> np.ndarray:
        """Return two bodies that overlap, bool [2, *shape]."""
        grid = np.stack(np.meshgrid(*[np.arange(n) for n in self.shape], indexing="ij"), -1)
        return np.stack([((grid - centre) ** 2 / np.array([9, 36, 36]) < 1).sum(-1) == 3 for centre in ([5, 14, 14], [6, 17, 19])])

    def segmentation(self, mask: np.ndarray, kind: hd.seg.SegmentationTypeValues, **more) -> Path:
        """Write a DICOM SEG of masks [slice, row, column(, segment)]."""
        count = mask.shape[3] if mask.ndim == 4 else int(mask.max()) or 1
        described = [
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=f"part {number}",
                segmented_property_category=codes.SCT.Organ,
                segmented_property_type=CodedConcept(*(("10200004", "SCT", "Liver") if number == 1 else ("78961009", "SCT", "Spleen"))),
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number in range(1, count + 1)
        ]
        segmentation = hd.seg.Segmentation(
            source_images=self.slices,
            pixel_array=mask,
            segmentation_type=kind,
            segment_descriptions=described,
            series_instance_uid=generate_uid(),
            series_number=50,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="test",
            manufacturer_model_name="test",
            software_versions="1",
            device_serial_number="1",
            **more,
        )
        path = self.folder / "label.dcm"
        segmentation.save_as(path)
        return path

    def structure_set(self, mask: np.ndarray, *, kind: str = "CLOSED_PLANAR", references: str | None = None, shift_mm: float = 0.0) -> Path:
        """Write an RTSTRUCT with the contours of a mask, holes as contours of their own."""
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = RTStructureSetStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, getattr(self.slices[0], keyword))
        dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), "RTSTRUCT"
        region, observation = Dataset(), Dataset()
        region.ROINumber, region.ROIName = 7, "Jane's tumour"
        observation.ReferencedROINumber, observation.RTROIInterpretedType = 7, "GTV"
        dataset.StructureSetROISequence, dataset.RTROIObservationsSequence = Sequence([region]), Sequence([observation])
        contours, affine = [], self.affine_lps_mm()
        for place in np.flatnonzero(mask.any(axis=(1, 2))):
            padded = np.pad(mask[place].astype(float), 1)
            for line in find_contours(padded, 0.5):
                points = np.column_stack([np.full(len(line) - 1, place), line[:-1] - 1, np.ones(len(line) - 1)])
                world = (affine @ points.T)[:3].T + np.array([0, 0, shift_mm])
                item, image = Dataset(), Dataset()
                item.ContourGeometricType, item.NumberOfContourPoints = kind, len(world)
                item.ContourData = [f"{value:.4f}" for value in world.ravel()]
                image.ReferencedSOPClassUID = self.slices[place].SOPClassUID
                image.ReferencedSOPInstanceUID = references or self.slices[place].SOPInstanceUID
                item.ContourImageSequence = Sequence([image])
                contours.append(item)
        drawn = Dataset()
        drawn.ReferencedROINumber, drawn.ContourSequence = 7, Sequence(contours)
        dataset.ROIContourSequence = Sequence([drawn])
        path = self.folder / "label.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path

    def nifti(self, mask: np.ndarray, *, flip: bool = False, shift_mm: float = 0.0) -> Path:
        """Write a NIfTI label map, its axes turned another way where asked: only the affine says how."""
        affine = np.diag([-1.0, -1, 1, 1]) @ self.affine_lps_mm()
        affine[2, 3] += shift_mm
        values = mask.astype(np.uint8)
        if flip:
            values = values.transpose(2, 0, 1)[::-1, :, ::-1]
            turn = np.zeros((4, 4))
            turn[2, 0], turn[0, 1], turn[1, 2], turn[3, 3] = -1, 1, -1, 1
            turn[2, 3], turn[1, 3] = values.shape[0] - 1, values.shape[2] - 1
            affine = affine @ turn
        path = self.folder / "label.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values), affine), path)
        return path


def write_labelled(folder: Path, variant: Variant) -> Labelled:
    """Write a sound series and return it."""
    paths = write_case(folder, "regular", variant)
    datasets = [pydicom.dcmread(path) for path in paths]
    axes = np.array(datasets[0].ImageOrientationPatient, float)
    normal = np.cross(axes[:3], axes[3:])
    return Labelled(folder, sorted(datasets, key=lambda d: float(np.array(d.ImagePositionPatient, float) @ normal)))
