"""A class is stored where it is a known word."""

from __future__ import annotations

import pydicom
import pytest
from pydicom import Dataset

from data_contracts import StoreManifest, load_record
from medkd.dicom.confidentiality.class_label import clean_class_label, known_whole
from medkd.phantom.faulty_scan import VARIANTS
from tests.dicom.ingesting import ingest_folder
from tests.dicom.labelled import write_labelled

CANARY = "QUIXOTEPLANT"


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


def test_a_class_that_is_part_of_a_name_in_a_header_is_none():
    header = Dataset()
    header.OperatorsName = "Benign^Bo"
    assert clean_class_label("benign", [None, header]) is None
    assert clean_class_label("benign", [None]) == "benign"
    assert clean_class_label(CANARY.lower(), ()) is None
    assert clean_class_label(None, [header]) is None


@pytest.mark.parametrize(("text", "kept"), [("lesion 1", "lesion 1"), ("lesion of Doe", ""), ("Doe", ""), ("", "")])
def test_a_text_stays_whole_or_not_at_all(text, kept):
    assert known_whole(text) == kept
