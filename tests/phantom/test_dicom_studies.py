from __future__ import annotations

import hashlib

import highdicom
import pydicom

from medkd.phantom.dicom_studies import write_phantom_dicom


def digests(folder):
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.dcm")}


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    for name in "ab":
        write_phantom_dicom(tmp_path / name, studies=2, seed=5)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_another_library_reads_the_segmentations(phantom):
    study = phantom[2][0]
    segmentation = highdicom.seg.segread(study.folder / "SEG0001.dcm")
    assert segmentation.number_of_segments == 1
    referenced = {item[2] for item in segmentation.get_source_image_uids()}
    images = {pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID for p in study.folder.glob("IM*.dcm")}
    assert referenced <= images


def test_names_and_numbers_are_shuffled(phantom):
    files = sorted(phantom[2][0].folder.glob("IM*.dcm"))
    heights = [float(pydicom.dcmread(p, stop_before_pixels=True).ImagePositionPatient[2]) for p in files]
    assert heights != sorted(heights)
