"""The phantom's DICOM outlet: CT-like studies with lesion segmentations, as a scanner and a workstation would export them.

Identifiers are invented, so that de-identification has something to remove. File names and instance numbers are shuffled:
nobody may rely on them. The class of a patient travels as ``class=NAME`` in the segment's description.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import torch
from highdicom.sr.coding import CodedConcept
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from medkd.phantom.render import CLASSES, SLICE_SPACING_MM, SLICES, SPACING_MM, PhantomCases, render_volume, study_cases
from medkd.progress import progress_bar
from medkd.seeds import derive_seed

_INTERCEPT = -1024
_ROOT = "1.2.826.0.1.3680043.10.1561."
_NAMES = ("Hartwell", "Okafor", "Lindqvist", "Marchetti", "Yamada", "Novak", "Bianchi", "Ferreira")


@dataclass(frozen=True)
class PhantomStudy:
    """A written study: its folder, the row of its case among the drawn cases, and its patient's number."""

    folder: Path
    case: int
    patient: int


@dataclass(frozen=True)
class _Plan:
    """Everything about one study that is not pixels."""

    seed: int
    study: int
    patient: int
    label: int

    def uid(self, *parts: object) -> str:
        return f"{_ROOT}{derive_seed('uid', self.seed, *parts)}"

    @property
    def origin_mm(self) -> NDArray[np.float64]:
        """Position of the first voxel: each study lies elsewhere in the scanner."""
        generator = np.random.default_rng(derive_seed("origin", self.seed, self.study) % 2**32)
        return np.round(np.array([-94.5, -94.5, -200.0]) + generator.uniform(-20, 20, 3), 1)


def write_phantom_dicom(
    out: Path, *, studies: int = 48, seed: int = 7, difficulty: float = 1.0, faults: bool = True, progress: bool = False
) -> tuple[PhantomCases, tuple[PhantomStudy, ...]]:
    """Write a cohort of studies and return the drawn cases and where each study lies.

    Args:
        out: folder; one folder per study is made below it.
        studies: number of sound studies.
        seed: seed of everything; the same seed writes the same bytes.
        difficulty: see :func:`medkd.phantom.render.draw_cases`.
        faults: add what a real export holds besides: a text, a localizer, and a study that lost one slice.
        progress: show a progress bar.
    """
    cases, patients = study_cases(studies + int(faults), seed, difficulty=difficulty)
    written = []
    for study in progress_bar(range(len(patients)), title="phantom", unit="study", enabled=progress):
        plan = _Plan(seed, study, patients[study], int(cases.label[study]))
        folder = out / f"study{study:03d}"
        hu, mask = render_volume(cases, study)
        damaged = study == studies
        slices = _write_slices(folder, plan, hu.numpy(), skip=SLICES // 2 if damaged else None)
        if not damaged:
            _write_segmentation(folder, plan, slices, mask.numpy())
            written.append(PhantomStudy(folder, study, patients[study]))
    if faults:
        (out / "README.txt").write_text("Exported by a workstation.\n", encoding="utf-8")
        _write_localizer(out / "study000", _Plan(seed, 0, patients[0], int(cases.label[0])), render_volume(cases, 0)[0].numpy())
    return cases[torch.arange(studies)], tuple(written)


def _write_slices(folder: Path, plan: _Plan, hu: NDArray[np.int16], *, skip: int | None) -> list[Dataset]:
    """Write the slices under shuffled names and instance numbers; return their datasets in the order of the volume."""
    folder.mkdir(parents=True, exist_ok=True)
    shuffled = np.random.default_rng(derive_seed("order", plan.seed, plan.study) % 2**32).permutation(len(hu))
    datasets = []
    for index, pixels in enumerate(hu):
        if index == skip:
            continue
        dataset = _ct_slice(plan, index, pixels, number=int(shuffled[index]) + 1)
        dataset.save_as(folder / f"IM{int(shuffled[index]):04d}.dcm", enforce_file_format=True)
        datasets.append(dataset)
    return datasets


def _identify(dataset: Dataset, plan: _Plan) -> None:
    """Set invented identifiers, the same for all studies of a patient."""
    name = _NAMES[plan.patient % len(_NAMES)]
    dataset.PatientName = f"{name}^Testcase{plan.patient}"
    dataset.PatientID = f"HOSP-{104729 + 31 * plan.patient}"
    dataset.PatientBirthDate = f"{1940 + plan.patient % 50}0{1 + plan.patient % 9}15"
    dataset.PatientSex = "FM"[plan.patient % 2]
    dataset.PatientAge = f"0{30 + plan.patient % 60}Y"
    dataset.AccessionNumber = f"ACC{880000 + plan.study}"
    dataset.StudyID = f"S{plan.study}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = f"202501{1 + plan.study % 28:02d}"
    dataset.StudyTime = dataset.ContentTime = "101500"
    dataset.InstitutionName = "Saint Example Hospital"
    dataset.ReferringPhysicianName = "Referrer^Rita"


def _ct_slice(plan: _Plan, index: int, pixels: NDArray[np.int16], *, number: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, plan.uid("slice", plan.study, index)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    _identify(dataset, plan)
    dataset.Modality, dataset.Manufacturer, dataset.ImageType = "CT", "medkd phantom", ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = plan.uid("study", plan.study), plan.uid("series", plan.study)
    dataset.FrameOfReferenceUID = plan.uid("frame", plan.study)
    dataset.SeriesNumber, dataset.InstanceNumber = 2, number
    dataset.ImagePositionPatient = [float(v) for v in plan.origin_mm + np.array([0, 0, index * SLICE_SPACING_MM])]
    dataset.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    dataset.PixelSpacing = [SPACING_MM, SPACING_MM]
    dataset.SliceThickness = SLICE_SPACING_MM
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, _INTERCEPT, "HU"
    dataset.PixelData = (pixels.astype(np.int32) - _INTERCEPT).astype(np.uint16).tobytes()
    return dataset


def _write_localizer(folder: Path, plan: _Plan, hu: NDArray[np.int16]) -> None:
    dataset = _ct_slice(plan, 999, hu[0], number=999)
    dataset.SeriesInstanceUID = plan.uid("localizer", plan.study)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.save_as(folder / "LOC0001.dcm", enforce_file_format=True)


def _write_segmentation(folder: Path, plan: _Plan, slices: list[Dataset], mask: NDArray[np.uint8]) -> None:
    description = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=CodedConcept("52988006", "SCT", "Lesion"),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=plan.uid("tracking", plan.study),
        tracking_id=f"phantom-lesion-{plan.study}",
    )
    description.SegmentDescription = f"class={CLASSES[plan.label]}"
    segmentation = hd.seg.Segmentation(
        source_images=slices,
        pixel_array=mask[..., None],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=plan.uid("seg-series", plan.study),
        series_number=100,
        sop_instance_uid=plan.uid("seg", plan.study),
        instance_number=1,
        manufacturer="medkd phantom",
        manufacturer_model_name="phantom",
        software_versions="1",
        device_serial_number="1",
    )
    for element in _clock(segmentation):
        element.value = "20250101" if element.VR == "DA" else "101500"
    for item in segmentation.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = "20250101101500"
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = plan.uid("dimensions", plan.study)
    for item in segmentation.PerFrameFunctionalGroupsSequence:
        item.pop("FrameContentDateTime", None)
    segmentation.save_as(folder / "SEG0001.dcm", enforce_file_format=True)


def _clock(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements that highdicom fills from the clock: the same seed must write the same bytes."""
    for keyword in ("ContentDate", "ContentTime", "SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime"):
        if keyword in dataset:
            yield dataset[keyword]
