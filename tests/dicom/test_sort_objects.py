"""Images and labels go on, everything else gets its outcome at once."""

from __future__ import annotations

import pytest
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from data_contracts import Action, IngestCode, IngestPolicy, Outcome
from medkd.dicom.classify import ObjectKind
from medkd.dicom.comparison_cache import ComparisonCache
from medkd.dicom.ingest_cache import IngestCache
from medkd.dicom.ledger import Ledger
from medkd.dicom.pixel_place import PixelPlace
from medkd.dicom.sort_objects import sort_objects
from tests.dicom.invented import found, header


@pytest.fixture
def sort(tmp_path):
    """Return a sorter of files, and what became of those that do not go on."""

    def run(*files, every=None):
        policy, ledger = IngestPolicy(every=every), Ledger()
        objects = sort_objects(files, ledger, policy, ComparisonCache(IngestCache(tmp_path, policy)))
        return objects, {name: (one.outcome, one.code) for name, one in ledger.outcomes.items()}

    return run


def test_images_and_labels_go_on(sort):
    files = found("image", header()), found("seg", header(SOPClassUID=SegmentationStorage, SOPInstanceUID="1.5")), found("liver.nii.gz")
    objects, outcomes = sort(*files)
    assert [item.file.relative for item in objects.images] == ["image"]
    assert [(file.relative, kind) for file, kind in objects.labels] == [
        ("seg", ObjectKind.SEGMENTATION),
        ("liver.nii.gz", ObjectKind.NIFTI),
    ]
    assert outcomes == {}


def test_a_nifti_that_may_not_be_read_is_no_label(sort):
    objects, outcomes = sort(found("liver.nii.gz", code=IngestCode.FILE_UNREADABLE))
    assert not objects.labels
    assert outcomes == {"liver.nii.gz": (Outcome.QUARANTINED, IngestCode.FILE_UNREADABLE)}


def test_a_secondary_capture_is_set_aside_under_its_code(sort):
    objects, outcomes = sort(found("a", header(SOPClassUID=SecondaryCaptureImageStorage), pixels=None))
    assert not objects.images
    assert outcomes["a"][1] is IngestCode.SECONDARY_CAPTURE


def test_what_breaks_off_is_the_cause_of_what_else_is_missing(sort):
    _, outcomes = sort(found("a", header(ImagePositionPatient=None), pixels=PixelPlace(0, 10, whole=False)))
    assert outcomes == {"a": (Outcome.QUARANTINED, IngestCode.TRUNCATED_PIXELS)}


def test_what_a_policy_accepts_in_a_header_is_kept_for_its_volume(sort):
    file = found("a", header(PatientID=""))
    objects, _ = sort(file, every=Action.REPAIR)
    assert list(objects.flags[file]) == [IngestCode.PATIENT_ID_MISSING]


def test_a_header_that_breaks_a_rule_nobody_foresaw_stops_nothing(sort):
    broken = header(SOPInstanceUID="1.7")
    broken.add_new(0x00280010, "LO", "many")
    objects, outcomes = sort(found("a", broken), found("b", header()))
    assert outcomes == {"a": (Outcome.QUARANTINED, IngestCode.UNREADABLE_HEADER)}
    assert len(objects.images) == 1
