"""Names that labels bring along: what is anatomy stays as it was written, what could be anybody does not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes

from data_contracts import IngestPolicy, Segment, StoreManifest, load_record
from medkd.dicom.confidentiality.anatomy import WORDS
from medkd.dicom.confidentiality.names import clean_segments
from medkd.dicom.confidentiality.words import clean_name, clean_text
from medkd.dicom.ingest_cache import MANIFEST, MEMORY, IngestCache
from medkd.phantom.faulty_scan import VARIANTS
from medkd.storage.sealed import seal_of
from tests.dicom.ingesting import ingest_folder
from tests.dicom.labelled import write_labelled

CANARY = "QUIXOTEPLANT"
WHOLE = [
    "kidney_left",
    "Lung_L",
    "lung_upper_lobe_left",
    "vertebrae_L1",
    "Left-Cerebellum-White-Matter",
    "GTVp1",
    "PTV_5040",
    "SpinalCord",
    "BRAINSTEM",
    "Parotid_R",
    "R kidney",
    "heart_atrium_left",
    "iliac_vena_left",
    "BODY",
    "External",
    "Hippocampus",
    "enhancing tumor",
    "lesion-2",
    "Nodule 1",
    "Neoplasm, Primary",
    "part 1",
    "segment 9",
    "region 7",
    "label 3",
    "malignant",
]


@pytest.mark.parametrize("name", WHOLE)
def test_names_of_structures_stay_as_they_were_written(name):
    assert clean_name(name) == name


def test_what_the_standard_calls_a_structure_stays():
    meanings = [getattr(codes.SCT, keyword).meaning for keyword in ("Liver", "Lung", "Kidney", "Brain", "Heart", "Pancreas", "Bladder")]
    assert [clean_name(meaning) for meaning in meanings] == meanings


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        (f"Tumor of {CANARY}", "Tumor"),
        (f"{CANARY}_kidney", "kidney"),
        (f"kidney {CANARY.lower()} left", "kidney left"),
        (f"Lung{CANARY.title()}", "Lung"),
        (CANARY, ""),
        ("Jane's tumour", "tumour"),
        ("Dr. Miller lung", "lung"),
        ("Liver (J.S.)", "Liver"),
        ("Mr White", ""),
        ("Müller Leber", ""),
        ("胸部 lung", "lung"),
        ("山田太郎", ""),
        ("lung 19600101", "lung"),
        ("lung 1960", "lung"),
        ("4711815", ""),
        ("", ""),
        ("<img src=x>", ""),
        ("liver\nDoe", "liver"),
    ],
)
def test_words_that_are_none_of_anatomy_go(name, cleaned):
    assert clean_name(name) == cleaned


@pytest.mark.parametrize("name", ["lung", "Lung_L", "LUNG", "Lungs", "left lung", "SpinalLung"])
def test_no_part_of_a_patients_name_stays_although_it_is_anatomy(name):
    assert "lung" not in clean_name(name, frozenset({"lung"})).lower()


def test_the_words_hold_no_eponym_and_no_common_given_name():
    names = ["willis", "boyd", "dodd", "giacomini", "purkinje", "couinaud", "ion", "mark", "ali", "ed", "jack", "john", "mary", "anna"]
    assert not set(names) & set(WORDS.split())


def test_descriptions_do_not_keep_pieces_of_words_in_other_alphabets():
    assert clean_text("Älung Mu\u0308ller x CT") == "CT"


def header(**values) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def test_segments_of_which_nothing_is_left_are_called_by_their_value():
    segments = tuple(
        Segment(value=n, name=name, tracking_id=tracked)
        for n, (name, tracked) in enumerate(
            [(f"tumor {CANARY}", f"{CANARY}-1"), ("tumor Doe", "lesion 1"), (CANARY, ""), ("Liver", "x")], start=1
        )
    )
    cleaned, label = clean_segments(segments, "malignant", "rtstruct", [header(PatientName="Liver^Ann", PatientID="x")])
    assert [segment.name for segment in cleaned] == ["tumor", "tumor 2", "region 3", "region 4"]
    assert [segment.tracking_id for segment in cleaned] == ["", "lesion 1", "", ""]
    assert label == "malignant"
    assert clean_segments((), CANARY.lower(), "dicom-seg", [])[1] is None
    assert clean_segments((), "benign", "dicom-seg", [header(OperatorsName="Benign^Bo")])[1] is None


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


@pytest.mark.parametrize(("said", "kept"), [(CANARY.lower(), None), ("malignant", "malignant")])
def test_a_class_that_a_segmentation_states_is_stored_only_where_it_is_a_known_word(tmp_path, said, kept):
    import highdicom as hd

    labelled = write_labelled(tmp_path / "in", VARIANTS[0])
    path = labelled.segmentation((labelled.balls()[0]).astype("uint8"), hd.seg.SegmentationTypeValues.BINARY)
    dataset = pydicom.dcmread(path)
    dataset.SegmentSequence[0].SegmentDescription = f"class={said}"
    dataset.save_as(path)
    ingest_folder(tmp_path / "in", tmp_path / "store", secret=b"s")
    volume = load_record(tmp_path / "store" / "manifest.json", StoreManifest).volumes[0]
    assert volume.label is not None
    assert volume.class_label == kept
    assert CANARY not in (tmp_path / "store" / "manifest.json").read_text().upper()


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
