"""Names of structures are said where they are words of anatomy, and found by whoever knows them where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset

from medkd.dicom.labels.names import Called, Names, identifiers_of, normal_name, sayable, structure_key
from tests.dicom.drawn import Ingested, box, coded, draw_segmentation, draw_series, draw_structures

BIG = np.zeros((8, 20, 24), bool)
BIG[1:7, 2:16, 3:20] = True
SMALL = np.zeros((8, 20, 24), bool)
SMALL[3:5, 4:9, 6:12] = True


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "study"


def test_names_of_people_are_not_said_but_found_by_whoever_knows_them(folder):
    series = draw_series(folder / "ct")
    drawn = box(series, range(1, 7), (1.5, 15.5), (2.5, 19.5))
    small = box(series, range(3, 5), (3.5, 8.5), (5.5, 11.5))
    named = [
        (1, "Tumour of Quixote", "GTV", drawn),
        (2, "Sancho", "GTV", small),
        (3, "Patient1 liver", "", box(series, [6], (3, 8), (5, 9))),
    ]
    draw_structures(folder / "rs.dcm", series, named, drawn_on=series)
    found = Ingested(folder)
    segments = found.labelled().label.segments
    text = (found.out / "manifest.json").read_text() + (found.out / "quarantine" / "memory.json").read_text()
    for word in ("quixote", "sancho", "patient1"):
        assert word not in text.lower()
    assert structure_key(b"k", "tumour_of QUIXOTE") == segments[0].keys[0]
    assert structure_key(b"k", "Sancho") in segments[1].keys
    assert structure_key(b"other", "Sancho") not in segments[1].keys
    # Two regions of one type are told apart, by the same word in every patient.
    assert len({segment.name for segment in segments}) == 3
    assert all(segment.name.startswith("gtv ") for segment in segments[:2])


@pytest.mark.parametrize(
    "name",
    ["Liver", "Kidney_L", "SpinalCord", "PTV_5040", "GTV-1", "lung upper lobe left", "BODY", "Lens_R", "A_Carotid_L", "vertebra T12"],
)
def test_names_of_anatomy_and_of_planning_are_said_as_they_were_written(name):
    assert sayable(name) == name


@pytest.mark.parametrize(
    "name", ["Liver Smith", "GTV 19600101", "Liver 2024-01-02", "Müller", "<b>Liver</b>", "Mark", "J_K", "Tumor J", "x" * 80, "4711", ""]
)
def test_names_that_may_name_somebody_are_not_said(name):
    assert sayable(name) == ""


def test_a_word_that_is_part_of_the_patients_name_is_not_said():
    (segment,) = Names().segments([Called(1, label="Heart", kind="ORGAN")])
    assert segment.name == "Heart"
    assert sayable("Heart", frozenset({"heart"})) == ""


def test_codes_say_what_a_label_does_not(folder):
    series = draw_series(folder / "ct")
    codes = {1: coded("10200004", "Liver"), 2: coded("Doe^Jane", "Doe^Jane", "99X"), 3: coded("78961009", "Spleen")}
    inmost = np.zeros_like(SMALL)
    inmost[6, 17:19, 21:23] = True
    masks = {1: BIG & ~SMALL, 2: SMALL, 3: inmost}
    draw_segmentation(folder / "seg.dcm", series, masks, {1: "Segment_1", 2: "Segment_2", 3: "xyz"}, listed=[series], codes=codes)
    found = Ingested(folder)
    assert [segment.name for segment in found.labelled().label.segments] == ["Liver", "segment", "Spleen"]
    assert [segment.code for segment in found.labelled().label.segments] == ["SCT:10200004", "", "SCT:78961009"]
    assert "Doe" not in (found.out / "manifest.json").read_text()


@pytest.mark.parametrize("text", ["Kidney_Left", "kidney-left", " KIDNEY   left "])
def test_names_are_compared_however_they_are_spaced_and_capitalised(text):
    assert normal_name(text) == "kidney left"
    assert structure_key(b"k", text) == structure_key(b"k", "kidney left")


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (Called(1, label="Kidney_L", meaning="Kidney"), "Kidney_L"),
        (Called(1, label="Segment_1", meaning="Liver"), "Liver"),
        (Called(1, label="Sancho", others=("left lung",), meaning="Lung"), "left lung"),
        (Called(1, label="Sancho", kind="GTV"), "gtv"),
        (Called(1, label="Sancho", fallback="region 7"), "region 7"),
    ],
)
def test_a_structure_is_called_by_the_most_specific_name_that_may_be_said(called, name):
    (segment,) = Names(b"k").segments([called])
    assert segment.name == name
    assert segment.keys[0] == structure_key(b"k", called.label)


def test_names_of_people_dates_and_numbers_of_a_header_are_never_said():
    header = Dataset()
    header.PatientName, header.PatientID, header.StudyDate = "Heart^Lee", "4711", "20240102"
    assert {"heart", "lee", "4711", "20240102", "2024"} <= identifiers_of(header)
    (segment,) = Names(b"k").segments([Called(1, label="Heart", fallback="region 1")], header)
    assert segment.name == "region 1"
