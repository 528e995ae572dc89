"""A study that is not what the model was trained on: said first, with both sides, by modality, unit, spacing and extent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_contracts import Case, Checkpoint, DataError, Geometry, Ref, Task, TrainingDomain, VolumeRef, read_record
from medkd.inference.training_caveats import caveats_of_study, require_permitted, training_caveats
from medkd.training.training_run import training_domain
from medkd.volumes.orientation import Grid, canonical_axes

REF = Ref(store="run", key="x", sha256="0" * 64)
CT = TrainingDomain(
    modalities=("CT",),
    units=("HU",),
    spacing_low_mm=(1.0, 0.7, 0.7),
    spacing_high_mm=(3.0, 1.0, 1.0),
    extent_low_mm=(120.0, 200.0, 200.0),
    extent_high_mm=(300.0, 400.0, 400.0),
)


def volume(modality="CT", unit="HU", shape=(80, 300, 300), spacing=(2.0, 0.8, 0.8), plane="axial"):
    steps = {"axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)), "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0))}[plane]
    affine = np.eye(4)
    affine[:3, :3] = np.array(steps, dtype=float).T * np.array(spacing)
    geometry = Geometry(shape=shape, affine_lps_mm=tuple(map(tuple, affine.tolist())), spacing_mm=spacing, residual_mm=0.0)
    return VolumeRef(
        array=REF,
        geometry=geometry,
        unit=unit,
        modality=modality,
        patient_key="p",
        study_key="t",
        series_key="s",
        frame_of_reference_key="f",
    )


def payload(study, domain):
    turned = canonical_axes(Grid(study.geometry.shape, np.asarray(study.geometry.affine_lps_mm)))[1]
    return {caveat.code: caveat for caveat in training_caveats(study, domain, turned)}


@pytest.mark.parametrize(
    ("changes", "codes", "words"),
    [
        ({}, set(), ()),
        ({"modality": "MR", "unit": "raw"}, {"MODALITY_UNTRAINED"}, ("CT (HU)", "MR (raw)")),
        ({"modality": "PT", "unit": "BQML"}, {"MODALITY_UNTRAINED"}, ("PT (BQML)",)),
        ({"unit": "MGML"}, {"UNIT_UNTRAINED"}, ("HU", "MGML")),
        ({"spacing": (2.0, 2.0, 0.8)}, {"SPACING_UNTRAINED"}, ("2 x 2 x 0.8 mm", "3 x 1 x 1 mm")),
        ({"spacing": (0.5, 0.8, 0.8), "shape": (400, 300, 300)}, {"SPACING_UNTRAINED"}, ()),
        ({"spacing": (4.0, 0.8, 0.8)}, set(), ()),
        ({"shape": (3, 4, 4)}, {"EXTENT_UNTRAINED"}, ("6 x 3.2 x 3.2 mm", "120 x 200 x 200 mm")),
        ({"shape": (300, 100, 300), "spacing": (0.8, 2.0, 0.8), "plane": "coronal"}, set(), ()),
        ({"shape": (300, 20, 300), "spacing": (0.8, 2.0, 0.8), "plane": "coronal"}, {"EXTENT_UNTRAINED"}, ()),
        ({"modality": "MR", "unit": "raw", "shape": (3, 4, 4), "spacing": (9.0, 9.0, 9.0)}, {"MODALITY_UNTRAINED", "SPACING_UNTRAINED", "EXTENT_UNTRAINED"}, ()),
    ],
)  # fmt: skip
def test_what_a_study_is_and_the_training_was_not_is_said(changes, codes, words):
    found = payload(volume(**changes), CT)
    assert set(found) == codes
    assert all(caveat.severity == 3 for caveat in found.values())
    assert all(word in " ".join(caveat.text for caveat in found.values()) for word in words)


@pytest.mark.parametrize("domain", [None, TrainingDomain(), CT.model_copy(update={"modalities": (), "units": ()})])
def test_of_a_model_that_does_not_say_what_it_was_trained_on_that_is_said(domain):
    found = payload(volume(), domain)
    assert set(found) == {"TRAINING_DATA_UNKNOWN"}
    assert "training data unknown" in found["TRAINING_DATA_UNKNOWN"].text


def test_a_study_that_reaches_much_further_than_any_of_the_training_is_said_after_its_modality():
    golden = (Path(__file__).parents[1] / "contracts" / "golden" / "checkpoint_1.json").read_bytes()
    task = Task(kind="segmentation", classes=("background", "b"), image_size=(8, 8, 8))
    known = read_record(golden, Checkpoint).model_copy(update={"domain": CT, "task": task, "largest_extent_mm": (50.0, 400.0, 400.0)})
    assert [one.code for one in caveats_of_study(volume("MR", "raw"), known)] == ["MODALITY_UNTRAINED", "FIELD_OF_VIEW"]
    pictures = known.model_copy(update={"task": task.model_copy(update={"image_size": (8, 8)})})
    assert [one.code for one in caveats_of_study(volume(), pictures)] == []


def cases(*kinds):
    pairs = enumerate(kinds)
    return tuple(Case(case_key=f"c{n}", patient_key=f"p{n}", image=REF, modality=modality, unit=unit) for n, (modality, unit) in pairs)


class Held:
    def __init__(self, *kinds):
        self.cases = cases(*kinds)


def test_the_training_says_what_it_was_on_where_all_cases_do():
    known = training_domain(Held(("CT", "HU"), ("CT", "HU"), ("MR", "raw")))
    assert (known.modalities, known.units) == (("CT", "MR"), ("HU", "raw"))
    assert training_domain(Held(("CT", "HU"), (None, None))) == TrainingDomain()


def test_a_checkpoint_from_before_is_read_and_says_nothing():
    golden = (Path(__file__).parents[1] / "contracts" / "golden" / "checkpoint_1.json").read_bytes()
    earlier = golden.replace(b'"domain":null,', b"")
    assert earlier != golden
    assert read_record(earlier, Checkpoint).domain is None


@pytest.mark.parametrize(
    ("changes", "forbidden"),
    [({}, False), ({"modality": "MR", "unit": "raw"}, True), ({"unit": "MGML"}, True), ({"spacing": (9.0, 9.0, 9.0)}, False)],
)
def test_a_model_may_forbid_what_it_was_not_trained_on(changes, forbidden):
    study, strict = volume(**changes), CT.model_copy(update={"outside": "refuse"})
    require_permitted(study, CT)
    require_permitted(study, None)
    require_permitted(study, TrainingDomain(outside="refuse"))
    if not forbidden:
        require_permitted(study, strict)
        return
    with pytest.raises(DataError, match=rf"CT \(HU\).*{study.modality} \({study.unit}\)") as caught:
        require_permitted(study, strict)
    assert caught.value.code == "MODALITY_FORBIDDEN"


def test_a_model_that_saw_no_case_says_so_first():
    golden = Path(__file__).parents[1] / "contracts" / "golden" / "checkpoint_2.json"
    checkpoint = read_record(golden.read_bytes(), Checkpoint)
    assert not [caveat for caveat in caveats_of_study(volume(), checkpoint) if caveat.code == "TRAINED_WITHOUT_CASES"]
    found = caveats_of_study(volume(), checkpoint.model_copy(update={"cases": "synthesised"}))
    assert (found[0].code, found[0].severity) == ("TRAINED_WITHOUT_CASES", 3)
    assert "synthesised from its teacher and on no case of a patient" in found[0].text


def test_a_class_that_no_label_showed_is_named():
    golden = Path(__file__).parents[1] / "contracts" / "golden" / "checkpoint_2.json"
    checkpoint = read_record(golden.read_bytes(), Checkpoint).model_copy(update={"hidden_classes": ("cyst", "metastasis")})
    (found,) = (caveat for caveat in caveats_of_study(volume(), checkpoint) if caveat.code == "CLASS_WITHOUT_LABEL")
    assert found.severity == 2
    assert "showed cyst, metastasis; what it says of it was learned from its teacher alone" in found.text
