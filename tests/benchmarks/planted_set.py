"""A set of DICOM files of several patients in which every value is planted with what a de-identifier is required to do about it.

What is required follows from PS3.15 Annex E: Basic Application Level Confidentiality Profile with the options Clean Descriptors, Clean Pixel
Data, Retain Longitudinal Temporal Information with Modified Dates, and Retain Patient Characteristics; the options Retain Safe Private, Retain
UIDs, Retain Device Identity and Retain Institution Identity are off. Attributes outside of Table E.1-1 stay. All of it from one seed.
"""

from __future__ import annotations

import random
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.benchmarks.planted import Person, Planted
from tests.benchmarks.planted_values import DESCRIPTIONS, DEVICES, FAMILY, GIVEN, KEPT
from tests.benchmarks.required_actions import Action, Required

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
    "MG": "1.2.840.10008.5.1.4.1.1.1.2",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
}
#: Modalities whose consoles draw names into pictures.
_DRAWN_ON = ("DX", "US")
_VOLUMES = ("CT", "MR", "PT")
_SLICES = 3


def write_set(folder: Path, *, patients: int, seed: int = 0) -> tuple[dict[str, Path], list[Required]]:
    """Write the set and return its files by name and what is required of each.

    Args:
        folder: where to.
        patients: each with two studies: one of slices with a structure set, one of pictures.
        seed: of everything.
    """
    draw, required, files = random.Random(seed), list[Required](), dict[str, Path]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consoles write what the standard does not allow
        for number in range(patients):
            person = Person(number, draw)
            for visit, modality in enumerate((_VOLUMES[number % 3], ("DX", "US", "MG", "CR")[number % 4])):
                study = _Study(folder, person, modality, (seed, number, visit), draw, required, files)
                study.write()
    return files, required


class _Study:
    def __init__(
        self,
        folder: Path,
        person: Person,
        modality: str,
        key: tuple[int, int, int],
        draw: random.Random,
        required: list[Required],
        files: dict[str, Path],
    ) -> None:
        self.folder, self.person, self.modality, self.draw, self.required, self.files = folder, person, modality, draw, required, files
        self.key = ".".join(str(part + 1) for part in key)
        self.when = datetime(2009, 1, 1) + timedelta(days=draw.randrange(4000), seconds=draw.randrange(86_000))
        self.device = draw.choice(DEVICES[modality])
        self.accession, self.number = f"ACC{draw.randrange(10**6, 10**7)}", f"ST{draw.randrange(10**5, 10**6)}"
        self.study_words = draw.choice(DESCRIPTIONS[modality][0])
        self.images: list[tuple[str, str]] = []

    def uid(self, *words: object) -> str:
        return f"1.2.826.0.1.3680043.9.7133.{self.key}.{'.'.join(map(str, words))}"

    def write(self) -> None:
        """Write the images, then what refers to them."""
        for place in range(_SLICES if self.modality in _VOLUMES else 2):
            self._image(place)
        if self.modality == "CT":
            self._structures()

    def _begin(self, modality: str, series: int, place: int) -> Planted:
        dataset, name = Dataset(), f"{modality}{len(self.files):05d}.dcm"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self.draw.choice((ExplicitVRLittleEndian, ImplicitVRLittleEndian))
        dataset.is_little_endian, dataset.SpecificCharacterSet = True, "ISO_IR 192"
        at = Planted(dataset, name, self.person.id, self.required)
        at.keep(SOPClassUID=CLASSES[modality], Modality=modality)
        at.uid(
            SOPInstanceUID=self.uid(series, place + 1),
            StudyInstanceUID=self.uid(0),
            SeriesInstanceUID=self.uid(series),
            FrameOfReferenceUID=self.uid(99),
        )
        self._identify(at)
        self._describe(at, modality, series)
        at.dated(self.when, "Study", fraction=".120000")
        at.dated(self.when + timedelta(minutes=3), "Series", "StructureSet") if modality == "RTSTRUCT" else at.dated(
            self.when + timedelta(minutes=3, seconds=series), "Series", "PerformedProcedureStepStart"
        )
        at.keep(SeriesNumber=str(series), InstanceNumber=str(len(self.files) + 1))
        return at

    def _identify(self, at: Planted) -> None:
        """Plant who it is, who took it and where, as registration and console fill it in."""
        person, draw = self.person, self.draw
        at.gone(person.tokens, PatientName=f"{person.family}^{person.given}")
        at.dataset.PatientID = person.id
        at.require(Action.PATID_CONSISTENT, "PatientID", person.id)
        at.require(Action.TEXT_REMOVED, "PatientID", person.id)
        at.emptied(PatientBirthDate=person.birth.strftime("%Y%m%d"), AccessionNumber=self.accession, StudyID=self.number)
        at.emptied((person.doctor.split("^")[0],), ReferringPhysicianName=person.doctor)
        at.gone(
            OtherPatientIDs=f"{person.id}-B",
            PatientMotherBirthName=draw.choice(FAMILY[-8:]),
            PatientAddress=f"{person.street}, {person.town}",
            PatientTelephoneNumbers=person.phone,
            MedicalRecordLocator=f"MRL{draw.randrange(10**6, 10**7)}",
            Occupation=person.job,
            InstitutionName=person.hospital,
            InstitutionAddress=f"{draw.randrange(1, 99)} {person.town} Road",
            InstitutionalDepartmentName=f"Unit {draw.randrange(1000, 9999)} East",
            StationName=f"STN{draw.randrange(10**4, 10**5)}",
            DeviceSerialNumber=f"SN{draw.randrange(10**6, 10**7)}",
            OperatorsName=f"{FAMILY[draw.randrange(len(FAMILY))]}^{draw.choice(GIVEN)}",
            AdmissionID=f"ADM{draw.randrange(10**6, 10**7)}",
            IssuerOfPatientID=f"ISS{draw.randrange(10**5, 10**6)}",
            PatientComments=f"lives with {draw.choice(GIVEN)}, SSN {person.ssn}",
            ReasonForStudy=f"referred by {person.hospital}",
        )
        at.dataset.AdditionalPatientHistory = f"{person.given} fell at {person.street}, call {person.phone}"
        for token in (person.street, person.phone):
            at.require(Action.TEXT_REMOVED, "AdditionalPatientHistory", token)
        other = at.item("OtherPatientIDsSequence")
        other.gone(PatientID=f"OLD{draw.randrange(10**6, 10**7)}", IssuerOfPatientID=f"REGION{draw.randrange(10**5, 10**6)}")
        block = at.dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        secret = f"{person.id}/{draw.randrange(10**6, 10**7)}"
        block.add_new(0x60, "LO", secret)
        block.add_new(0x61, "UN", f"PRIV{draw.randrange(10**7, 10**8)}".encode())
        at.require(Action.TEXT_REMOVED, "", secret)
        at.require(Action.TEXT_REMOVED, "", block[0x61].value.decode())
        at.dataset.file_meta.SourceApplicationEntityTitle = title = f"AE{draw.randrange(10**6, 10**7)}"
        at.require(Action.TEXT_REMOVED, "", title)

    def _describe(self, at: Planted, modality: str, series: int) -> None:
        """Plant descriptions, every other one with something typed beside it, orders, and what the machine is."""
        draw, person = self.draw, self.person
        maker, model, software = self.device
        at.keep(ManufacturerModelName=model, SoftwareVersions=software)
        at.described("Manufacturer", maker)
        words = {
            "StudyDescription": self.study_words,
            "SeriesDescription": draw.choice(DESCRIPTIONS[self.modality][1]),
            "ProtocolName": draw.choice(DESCRIPTIONS[self.modality][1]),
            "PerformedProcedureStepDescription": self.study_words,
            "RequestedProcedureDescription": self.study_words,
            "ImageComments": draw.choice(DESCRIPTIONS[self.modality][1]),
        }
        for keyword, text in words.items():
            typed, tokens = person.typed(draw) if draw.random() < 0.5 else ("", ())
            if len(f"{text} {typed}") > 64 and keyword != "ImageComments":
                typed, tokens = "", ()
            at.described(keyword, text, typed=typed, tokens=tokens)
        order = at.item("RequestAttributesSequence")
        order.gone(RequestedProcedureID=f"RP{draw.randrange(10**6, 10**7)}", ScheduledProcedureStepID=f"SPS{draw.randrange(10**6, 10**7)}")
        at.gone(PerformedProcedureStepID=f"PPS{draw.randrange(10**6, 10**7)}", RequestingPhysician=f"{person.doctor}^^Dr")
        at.coded("ProcedureCodeSequence", "77477000", "SCT", "Computed tomography") if modality == "CT" else None

    def _image(self, place: int) -> None:
        modality, draw = self.modality, self.draw
        at = self._begin(modality, 2, place)
        for keyword, values in {**KEPT[""], **KEPT[modality]}.items():
            # Of one study they are the same on all images.
            at.keep(**{keyword: values[(len(self.key) + int(self.key.replace(".", ""))) % len(values)]})
        moment = self.when + timedelta(minutes=5, seconds=2 * place)
        at.dated(moment, "Acquisition", "Content", fraction=".500000")
        at.dated(moment + timedelta(hours=2), "InstanceCreation")
        at.moment("AcquisitionDateTime", moment)
        at.dated(self.when + timedelta(minutes=25), "PerformedProcedureStepEnd")
        if modality in _VOLUMES:
            at.keep(
                ImagePositionPatient=["-120.5", "-98.25", f"{-40 + 2.5 * place}"],
                ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
                PixelSpacing=["0.78125", "0.78125"],
                SliceThickness="2.5",
                SliceLocation=f"{-40 + 2.5 * place}",
                RescaleSlope="1",
                RescaleIntercept="0" if modality != "CT" else "-1024",
            )
            self._refer(at, place)
        if modality == "CT":
            at.described("ContrastBolusAgent", "Omnipaque 350")
        if modality == "PT":
            self._tracer(at)
        if modality in ("DX", "MG"):
            self._views(at)
        if modality == "US":
            self._regions(at)
        self._pixels(at, draw)
        self._save(at)
        self.images.append((at.dataset.SOPClassUID, at.dataset.SOPInstanceUID))

    def _refer(self, at: Planted, place: int) -> None:
        """Refer to the slice before it, as a localizer or as what it was derived from."""
        if place:
            sop_class, instance = self.images[-1]
            for keyword in ("ReferencedImageSequence", "SourceImageSequence"):
                item = at.item(keyword)
                item.keep(ReferencedSOPClassUID=sop_class)
                item.uid(ReferencedSOPInstanceUID=instance)
        at.coded("AnatomicRegionSequence", "51185008", "SCT", "Chest")

    def _tracer(self, at: Planted) -> None:
        item = at.item("RadiopharmaceuticalInformationSequence")
        item.keep(
            RadionuclideTotalDose="3.7e8", RadionuclideHalfLife="6586.2", RadionuclidePositronFraction="0.967", Radiopharmaceutical="FDG"
        )
        item.moment("RadiopharmaceuticalStartDateTime", self.when - timedelta(minutes=61))
        item.coded("RadionuclideCodeSequence", "77004003", "SCT", "^18^Fluorine")
        item.coded("RadiopharmaceuticalCodeSequence", "35321007", "SCT", "Fluorodeoxyglucose F^18^")

    def _views(self, at: Planted) -> None:
        at.coded(
            "AnatomicRegionSequence",
            "76752008" if self.modality == "MG" else "51185008",
            "SCT",
            "Breast" if self.modality == "MG" else "Chest",
        )
        view = at.coded("ViewCodeSequence", "399162004", "SCT", "cranio-caudal") if self.modality == "MG" else None
        if view is not None:
            view.coded("ViewModifierCodeSequence", "399209000", "SCT", "Axillary Tail")

    def _regions(self, at: Planted) -> None:
        item = at.item("SequenceOfUltrasoundRegions")
        item.keep(
            RegionSpatialFormat=1,
            RegionDataType=1,
            RegionFlags=2,
            RegionLocationMinX0=0,
            RegionLocationMinY0=0,
            RegionLocationMaxX1=255,
            RegionLocationMaxY1=191,
            PhysicalUnitsXDirection=3,
            PhysicalUnitsYDirection=3,
            PhysicalDeltaX=0.0213,
            PhysicalDeltaY=0.0213,
            TransducerFrequency=3500,
        )

    def _pixels(self, at: Planted, draw: random.Random) -> None:
        """Draw the image, and into pictures of some modalities who it is."""
        shape = (64, 64) if self.modality in _VOLUMES else (192, 256)
        eight = self.modality == "US"
        noise = np.random.default_rng(draw.randrange(2**31))
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        body = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) < 0.42 * min(shape)
        high = 255 if eight else 4095
        image = (body * noise.normal(0.35, 0.06, shape) + noise.normal(0.05, 0.01, shape)).clip(0, 0.62) * high
        grey = image.astype("<u1" if eight else "<u2")
        boxes: list[tuple[int, int, int, int]] = []
        if self.modality in _DRAWN_ON:
            grey, boxes = self._drawn(grey, high, draw)
            at.dataset.BurnedInAnnotation = "YES"
        else:
            at.keep(BurnedInAnnotation="NO")
        for box in boxes:
            at.require(Action.PIXELS_HIDDEN, "", box)
        at.require(Action.PIXELS_RETAINED, "", tuple(boxes))
        bits = 8 if eight else 16
        at.keep(
            Rows=shape[0],
            Columns=shape[1],
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            BitsAllocated=bits,
            BitsStored=8 if eight else 12,
            HighBit=7 if eight else 11,
            PixelRepresentation=0,
        )
        at.dataset.PixelData = grey.tobytes()
        at.dataset["PixelData"].VR = "OB" if eight else "OW"

    def _drawn(self, grey: Any, high: int, draw: random.Random) -> tuple[Any, list[tuple[int, int, int, int]]]:
        person, boxes = self.person, []
        lines = (f"{person.family.upper()} {person.given.upper()}", f"{person.id}  {self.when:%d.%m.%Y}")
        top = draw.choice((4, 128))
        for line in lines:
            mask = Image.new("L", (grey.shape[1], grey.shape[0]))
            ImageDraw.Draw(mask).text((6, top), line, fill=255, font=ImageFont.load_default(size=draw.choice((14, 16, 18))))
            letters = np.asarray(mask)
            grey = np.maximum(grey, (letters / 255.0 * high).astype(grey.dtype))
            rows, columns = np.flatnonzero(letters.any(axis=1)), np.flatnonzero(letters.any(axis=0))
            boxes.append((int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1))
            top += 26
        return grey, boxes

    def _structures(self) -> None:
        """Write a structure set that refers to the images three levels deep."""
        at = self._begin("RTSTRUCT", 5, 0)
        draw, person = self.draw, self.person
        at.described("StructureSetLabel", "Lung")
        at.gone((person.family,) if len(person.family) > 3 else (), StructureSetName=f"Plan {person.family}")
        frame = at.item("ReferencedFrameOfReferenceSequence")
        frame.uid(FrameOfReferenceUID=self.uid(99))
        study = frame.item("RTReferencedStudySequence")
        study.uid(ReferencedSOPInstanceUID=self.uid(0))
        series = study.item("RTReferencedSeriesSequence")
        series.uid(SeriesInstanceUID=self.uid(2))
        for sop_class, instance in self.images:
            image = series.item("ContourImageSequence")
            image.keep(ReferencedSOPClassUID=sop_class)
            image.uid(ReferencedSOPInstanceUID=instance)
        region = at.item("StructureSetROISequence")
        region.keep(ROINumber="1", ROIGenerationAlgorithm="MANUAL")
        region.uid(ReferencedFrameOfReferenceUID=self.uid(99))
        region.described("ROIName", draw.choice(("Lung Left", "GTV", "SpinalCord", "Heart")))
        contour = at.item("ROIContourSequence")
        contour.keep(ReferencedROINumber="1", ROIDisplayColor=["255", "0", "0"])
        drawn = contour.item("ContourSequence")
        drawn.keep(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints="3")
        drawn.keep(ContourData=["-10.5", "-10", "-40", "10", "-10", "-40", "0", "12.25", "-40"])
        seen = at.item("RTROIObservationsSequence")
        seen.keep(ObservationNumber="1", ReferencedROINumber="1", RTROIInterpretedType="ORGAN")
        doctor = self.person.doctor
        seen.emptied((doctor.split("^")[0],), ROIInterpreter=doctor)
        at.keep(ApprovalStatus="UNAPPROVED")
        self._save(at)

    def _save(self, at: Planted) -> None:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "Modality", "PatientID", "StudyDate", "PatientName"):
            at.require(Action.TEXT_NOTNULL, keyword)
        dataset = at.dataset
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        self.required.append(
            Required(Action.UID_CONSISTENT, at.file, ("file_meta", "MediaStorageSOPInstanceUID"), str(dataset.SOPInstanceUID), at.patient)
        )
        path = self.folder / self.person.id / self.key / at.file
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        self.files[at.file] = path
