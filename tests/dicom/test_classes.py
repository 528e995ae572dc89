"""A structure's class is what the recipe says of its most specific name; smaller structures win."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import IngestError, LabelRef, Segment
from medkd.dicom.labels.classes import ClassChooser, Structure, combine_classes, read_structures
from medkd.dicom.labels.names import structure_key
from medkd.storage.store import Store
from tests.dicom.invented import volume

CLASSES = ("background", "organ", "tumour")
SECRET = b"k"


def segment(name, *hidden, value=1):
    return Segment(value=value, name=name, keys=tuple(structure_key(SECRET, one) for one in hidden))


def chooser(**segments):
    return ClassChooser(CLASSES, {name.replace("_", " "): wanted for name, wanted in segments.items()}, SECRET)


@pytest.mark.parametrize("name", ["Organ", "ORGAN", "organ"])
def test_a_name_that_is_a_class_needs_no_line(name):
    assert chooser().class_of(segment(name)) == 1


def test_a_name_that_is_not_said_is_found_by_whoever_knows_it():
    assert chooser(liver_of_quixote="organ").class_of(segment("segment", "Liver_of-Quixote")) == 1


def test_the_first_of_its_names_decides():
    assert chooser(lesion="tumour", liver="organ").class_of(segment("x", "lesion", "liver")) == 2
    assert chooser(lesion="tumour", liver="organ").class_of(segment("x", "liver", "lesion")) == 1


def test_all_others_are_those_that_nothing_names():
    others = ClassChooser(CLASSES, {"*": "background", "liver": "organ"}, SECRET)
    assert [others.class_of(segment(name)) for name in ("liver", "spleen", "tumour")] == [1, 0, 2]


def test_a_structure_that_nothing_names_is_refused():
    with pytest.raises(IngestError) as caught:
        chooser().class_of(segment("spleen"))
    assert caught.value.code == "UNKNOWN_SEGMENT"


def masked(name, *places):
    mask = np.zeros((1, 1, 6), bool)
    mask[0, 0, list(places)] = True
    return Structure(segment(name), "dicom-seg", mask)


def test_the_smaller_structure_wins_and_background_takes_nothing():
    structures = [masked("tumour", 2, 3), masked("organ", 1, 2, 3, 4), masked("background", 3)]
    combined = combine_classes(structures, chooser(), (1, 1, 6))
    assert combined.label.ravel().tolist() == [0, 1, 2, 2, 1, 0]
    assert combined.summary["overlaps"] == [{"winner": "tumour", "loser": "organ", "voxels": 2}]
    assert [one["voxels"] for one in combined.summary["structures"]] == [2, 4, 1]


def test_of_equal_structures_the_later_class_wins_whatever_their_order():
    structures = [masked("tumour", 1, 2), masked("organ", 2, 3)]
    for order in (structures, structures[::-1]):
        assert combine_classes(order, chooser(), (1, 1, 6)).label.ravel().tolist() == [0, 2, 2, 1, 0, 0]


def test_structures_keep_voxels_that_another_one_won_and_those_without_any_are_left_out(tmp_path):
    label = torch.zeros(4, 5, 6, dtype=torch.uint8)
    label[1, 1, :3], label[1, 1, 3] = 1, 2
    whole = (label > 0).to(torch.uint8)
    reference = Store(tmp_path).write_tensors("labels/x.safetensors", {"label": label, "segment/1": whole})
    segments = (segment("organ"), segment("tumour", value=2), segment("lost", value=3))
    read = read_structures(
        LabelRef(array=reference, geometry=volume().geometry, segments=segments, volume_sha256="0" * 64), Store(tmp_path)
    )
    assert [(one.segment.name, int(one.mask.sum())) for one in read] == [("organ", 4), ("tumour", 1)]
