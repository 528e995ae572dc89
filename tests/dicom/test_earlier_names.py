"""Stores of versions that kept free text are cleaned when they are opened."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pydicom
import pytest

from data_contracts import IngestPolicy, Segment, StoreManifest, load_record
from medkd.dicom.confidentiality.earlier_names import clean_segments
from medkd.dicom.ingest_cache import MANIFEST, MEMORY, IngestCache
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.sealed import seal_of
from tests.dicom.ingesting import ingest_folder
from tests.dicom.labelled import write_labelled

CANARY = "QUIXOTEPLANT"


def test_segments_of_which_nothing_is_left_are_called_by_their_value():
    segments = tuple(
        Segment(value=n, name=name, tracking_id=tracked)
        for n, (name, tracked) in enumerate(
            [(f"tumor {CANARY}", f"{CANARY}-1"), ("tumor Doe", "lesion 1"), (CANARY, ""), ("Liver", "x")], start=1
        )
    )
    cleaned = clean_segments(segments, "rtstruct")
    assert [segment.name for segment in cleaned] == ["tumor", "tumor 2", "region 3", "Liver"]
    assert [segment.tracking_id for segment in cleaned] == ["", "lesion 1", "", ""]
    assert clean_segments(segments[2:3], "dicom-seg")[0].name == "segment 3"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Return a store whose label was written with a canary in every text of the segmentation."""
    import highdicom as hd

    folder = tmp_path_factory.mktemp("planted")
    labelled = write_labelled(folder / "in", VARIANTS[0])
    path = labelled.segmentation((labelled.balls()[0]).astype("uint8"), hd.seg.SegmentationTypeValues.BINARY)
    dataset = pydicom.dcmread(path)
    segment = dataset.SegmentSequence[0]
    segment.SegmentLabel = segment.SegmentDescription = segment.TrackingID = f"Liver {CANARY}"
    segment.TrackingUID = "1.2.3.4.5.6"
    for code in (segment.SegmentedPropertyCategoryCodeSequence[0], segment.SegmentedPropertyTypeCodeSequence[0]):
        code.CodeMeaning, code.CodeValue, code.CodingSchemeDesignator = f"Liver of {CANARY}", "QX1", "99QX"
    dataset.SeriesDescription = dataset.ContentDescription = f"{CANARY} liver"
    dataset.ContentLabel = CANARY
    dataset.save_as(path)
    report = ingest_folder(folder / "in", folder / "store", secret=b"s")
    assert report.codes() == {}
    return folder / "store"


def test_a_name_in_a_segment_reaches_neither_manifest_nor_memory(planted):
    volume = load_record(planted / "manifest.json", StoreManifest).volumes[0]
    assert [segment.name for segment in volume.label.segments] == ["segment"]  # its only words stand beside a name
    for path in (planted / "manifest.json", planted / MEMORY):
        assert CANARY not in path.read_text().upper()


def test_what_an_earlier_version_remembered_is_forgotten_and_its_names_are_cleaned(planted, tmp_path):
    import shutil

    store = Path(shutil.copytree(planted, tmp_path / "store"))
    # As a version before names were cleaned left it: no digest of the manifest, and a memory without a version.
    (seal_of(store / MANIFEST)).unlink()
    known = json.loads((store / MEMORY).read_text())["known"]
    del known["ingestion"]
    (store / MEMORY).write_text(json.dumps(known))
    for name in ("manifest.json", MEMORY):
        text = re.sub(r'"name": ?"segment"', f'"name":"Liver {CANARY}"', (store / name).read_text())
        assert CANARY in text
        (store / name).write_text(text)
    again = IngestCache(store, IngestPolicy())
    assert {segment.name for volume in again.volumes.values() for segment in volume.label.segments} == {"Liver"}
    again.write()
    assert CANARY not in (store / MEMORY).read_text()
