"""Measurements of what was found as a DICOM Structured Report (TID 1500, Comprehensive 3D): a group per finding, tied to its segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from data_contracts import ClassAnswer, ExplanationRef, LesionFinding, StudyExplanation
from medkd.results.common import SERIES, Identity, maker, of_series, save

#: Concepts that no public scheme has; the scheme is named in every object that uses it (PS3.3 C.12.1.1.7).
SCHEME, SCHEME_NAME = "99MEDKD", "Concepts of medkd reports"
PROBABILITY = Code("probability", SCHEME, "Probability by the model")
DICE_TO_TEACHER = Code("dice-teacher", SCHEME, "Dice to the teacher's segmentation")
INSIDE = Code("attribution-inside", SCHEME, "Share of the attribution inside the finding")
PIXELS = Code("finding-pixels", SCHEME, "Number of pixels of the finding")
FINDINGS = Code("findings", SCHEME, "Number of findings")
AGREEMENT = Code("attribution-agreement", SCHEME, "Cosine of student and teacher attribution")
TESTS = Code("attribution-tests", SCHEME, "Tests of the attribution")
FAILED, PASSED = Code("failed", SCHEME, "Failed a test: not to be read"), Code("none-failed", SCHEME, "Failed none")
#: Sides as DICOM codes them (PS3.16, CID 244); what is not known gets no code.
SIDES = {"left": codes.SCT.Left, "right": codes.SCT.Right, "midline": Code("399488007", "SCT", "Midline")}
LONG_AXIS, SHORT_AXIS = Code("103339001", "SCT", "Long axis"), Code("103340004", "SCT", "Short axis")
#: The longest diameter in space, which no axis within a slice is (Image Biomarker Standardisation Initiative).
DIAMETER = Code("L0JK", "IBSI", "Maximum 3D diameter")
_MILLIMETER = Code("mm", "UCUM", "millimeter")
_TITLES = {"CT": Code("77477000", "SCT", "Computed tomography"), "MR": Code("113091000", "SCT", "Magnetic resonance imaging")}
_IMAGING = Code("363679005", "SCT", "Imaging")


def write_report(
    record: StudyExplanation,
    images: Sequence[Dataset],
    segmentation: Dataset | None,
    tracking: Mapping[int, tuple[str, str]],
    identity: Identity,
    path: Path,
) -> Path:
    """Write the measurements of an explanation: side, volume, diameter, long and short axis, agreement with the teacher, where the attribution lies.

    Args:
        record: the explanation; its lesions, or its answers where the model classifies.
        images: of the slices, in order.
        segmentation: SEG of the lesions, segments numbered in the order of ``tracking``; None where nothing is segmented.
        tracking: identifier and UID of each finding, by its number.
        identity: that its identifiers follow from.
        path: file to write.
    """
    import highdicom.sr as sr

    algorithm = sr.AlgorithmIdentification(
        name=f"{record.model.name}"[:64], version=f"{record.model.version}@{record.model.manifest_digest[:12]}"
    )
    groups = [*_of_lesions(record, images, segmentation, tracking, algorithm), *_of_answers(record, images, tracking, algorithm)]
    groups = groups or [_nothing(images, identity, algorithm)]
    device = sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=identity.uid("device"), name="medkd", manufacturer_name="medkd"
        ),
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=_TITLES.get(str(images[0].Modality), _IMAGING),
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    written = sr.Comprehensive3DSR(
        evidence=[*images, *([] if segmentation is None else [segmentation])],
        content=report,
        series_instance_uid=identity.uid("reports"),
        series_number=SERIES["report"],
        sop_instance_uid=identity.uid("report", "axes"),  # before they were written, the same explanation made another object
        instance_number=1,
        is_complete=False,
        is_verified=False,
        series_description=f"medkd measurements by {record.model.name}"[:64],
        **{name: value for name, value in maker().items() if name != "device_serial_number"},
    )
    _name_scheme(written)
    return save(written, path)


def _of_lesions(
    record: StudyExplanation,
    images: Sequence[Dataset],
    segmentation: Dataset | None,
    tracking: Mapping[int, tuple[str, str]],
    algorithm: Any,
) -> list[Any]:
    import highdicom.sr as sr

    if record.volume.picture is not None:
        return [_on_picture(record, lesion, images, tracking[lesion.number], algorithm) for lesion in record.lesions]
    if segmentation is None:
        return []
    groups: list[Any] = []
    segments = {number: place for place, number in enumerate(tracking, 1)}
    for lesion in record.lesions:
        referenced = sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=segments[lesion.number],
            source_series=sr.SourceSeriesForSegmentation(of_series(images)),
        )
        groups.append(
            sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=_tracked(tracking[lesion.number]),
                referenced_segment=referenced,
                finding_sites=_site(lesion),
                finding_type=Code(_code(lesion.class_name), SCHEME, lesion.class_name[:64]),
                measurements=_measured([*_of_lesion(lesion), *_of_maps(record, lesion.number)], algorithm),
                qualitative_evaluations=_tests(record, lesion.number) or None,
            )
        )
    return groups


def _of_answers(record: StudyExplanation, images: Sequence[Dataset], tracking: Mapping[int, tuple[str, str]], algorithm: Any) -> list[Any]:
    import highdicom.sr as sr

    groups: list[Any] = []
    for answer in record.answers:
        groups.append(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=_tracked(tracking[answer.number]),
                source_images=_sources(record, images, answer.first_slice, answer.last_slice),
                finding_type=Code(_code(answer.class_name), SCHEME, answer.class_name[:64]),
                measurements=_measured([*_of_answer(answer), *_of_maps(record, answer.number)], algorithm),
                qualitative_evaluations=_tests(record, answer.number) or None,
            )
        )
    return groups


def _on_picture(
    record: StudyExplanation, lesion: LesionFinding, images: Sequence[Dataset], tracked: tuple[str, str], algorithm: Any
) -> Any:
    """Return the group of a finding in a picture: nothing in mm, and no segment, whose place would have to be invented."""
    import highdicom.sr as sr

    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(tracked),
        source_images=_sources(record, images, lesion.first_slice, lesion.last_slice),
        finding_type=Code(_code(lesion.class_name), SCHEME, lesion.class_name[:64]),
        measurements=_measured(
            [(PIXELS, lesion.voxels, codes.UCUM.NoUnits), *_of_lesion(lesion), *_of_maps(record, lesion.number)], algorithm
        ),
        qualitative_evaluations=_tests(record, lesion.number) or None,
    )


def _sources(record: StudyExplanation, images: Sequence[Dataset], first: int, last: int) -> list[Any]:
    """Return the images of some slices, or, of a cine, its image with those frames."""
    import highdicom.sr as sr

    if record.volume.picture is None:
        return [sr.SourceImageForMeasurementGroup.from_source_image(image) for image in images[first : last + 1]]
    frames = range(first + 1, last + 2) if record.volume.geometry.shape[0] > 1 else None
    return [sr.SourceImageForMeasurementGroup.from_source_image(images[0], frames and list(frames))]


def _nothing(images: Sequence[Dataset], identity: Identity, algorithm: Any) -> Any:
    """Return the group that says of a series that nothing was found in it: silence could mean that nobody looked."""
    import highdicom.sr as sr

    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracked(("no finding", identity.uid("no finding"))),
        source_images=[sr.SourceImageForMeasurementGroup.from_source_image(image) for image in images],
        measurements=_measured([(FINDINGS, 0, codes.UCUM.NoUnits)], algorithm),
    )


def _tracked(named: tuple[str, str]) -> Any:
    import highdicom.sr as sr

    return sr.TrackingIdentifier(uid=named[1], identifier=named[0])


def _site(lesion: LesionFinding) -> list[Any] | None:
    """Return the side of a lesion. Which anatomy it lies in no model says."""
    import highdicom.sr as sr

    side = SIDES.get(lesion.side)
    return None if side is None else [sr.FindingSite(anatomic_location=codes.SCT.AnatomicalStructure, laterality=side)]


def _of_lesion(lesion: LesionFinding) -> list[tuple[Code, float, Code]]:
    long, short = lesion.axes_mm or (None, None)
    found = [
        (codes.SCT.Volume, lesion.volume_ml, Code("mL", "UCUM", "milliliter")),
        (DIAMETER, lesion.diameter_mm, _MILLIMETER),
        (LONG_AXIS, long, _MILLIMETER),
        (SHORT_AXIS, short, _MILLIMETER),
        (DICE_TO_TEACHER, lesion.dice_to_teacher, codes.UCUM.NoUnits),
    ]
    return [(name, value, unit) for name, value, unit in found if value is not None]


def _of_answer(answer: ClassAnswer) -> list[tuple[Code, float, Code]]:
    return [(PROBABILITY, answer.probability, codes.UCUM.NoUnits)]


def _of_maps(record: StudyExplanation, number: int) -> list[tuple[Code, float, Code]]:
    """Return what was measured of the first map of the asked model: the one that is shown first."""
    own = first_map(record, number)
    if own is None:
        return []
    found = [(INSIDE, own.measure("relevance_mass_accuracy")), (AGREEMENT, own.measure("cosine_agreement"))]
    return [(name, value, codes.UCUM.NoUnits) for name, value in found if value is not None]


def first_map(record: StudyExplanation, number: int, role: str = "student") -> ExplanationRef | None:
    """Return the first map of a finding by a model: by the explainer that the request names first."""
    return next((one for one in record.maps if one.number == number and one.model_role == role), None)


def _tests(record: StudyExplanation, number: int) -> list[Any]:
    import highdicom.sr as sr

    own = first_map(record, number)
    if own is None:
        return []
    return [sr.QualitativeEvaluation(name=TESTS, value=FAILED if own.method.explainer in record.failed_explainers else PASSED)]


def _measured(values: Sequence[tuple[Code, float, Code]], algorithm: Any) -> list[Any] | None:
    import highdicom.sr as sr

    return [sr.Measurement(name=name, value=round(value, 6), unit=unit, algorithm_id=algorithm) for name, value, unit in values] or None


def _code(words: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in words.lower())[:16]


def _name_scheme(written: Dataset) -> None:
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName, scheme.CodingSchemeResponsibleOrganization = SCHEME, SCHEME_NAME, "medkd"
    written.CodingSchemeIdentificationSequence = [scheme]
