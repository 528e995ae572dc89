"""What is kept of a network's answers, of networks whose answers are known: the second class's logit is the pixel itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Case, Cohort, CohortSet, CohortUse, DataError, Part, Split, Task
from medkd.evaluation import ask_validation
from medkd.evaluation.ask_validation import ask_validation as ask
from medkd.storage.store import Store

SUBSET = "student_validation"
PICTURES = Task(kind="classification", classes=("a", "b"), image_size=(4, 4), window=(-1.0, 1.0))
SEGMENTED = Task(kind="segmentation", classes=("background", "a"), image_size=(4, 4), window=(-1.0, 1.0))
VOLUMES = Task(kind="segmentation", classes=("background", "a"), image_size=(4, 4, 4), window=(-1.0, 1.0))


class EachPixel(nn.Module):
    """Logits [0, pixel] of every pixel."""

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), image], dim=1)


class Brightest(nn.Module):
    """Logits [0, brightest pixel] of a picture."""

    def forward(self, image):
        return EachPixel()(image).flatten(2).amax(2)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "run")


@pytest.fixture
def stored(store):
    """Return a maker of validation cohorts: pictures or volumes [n, *space], label maps, patients, classes."""

    def make(task, images, masks, patients, labels=None):
        cases = []
        for row, image in enumerate(images):
            known = masks is not None and masks[row] is not None
            mask = masks[row] if known else torch.zeros(image.shape, dtype=torch.uint8)
            arrays = {"images": image[None], "masks": mask[None]}
            if task.spatial_dims == 3:
                arrays = {
                    "image": image,
                    "affine_lps_mm": -torch.eye(4)[[2, 1, 0, 3]].double() * torch.tensor([1.0, 1, -1, -1]),
                    "label": mask,
                }
            ref = store.write_tensors(f"{row}.safetensors", arrays)
            label = None if labels is None else labels[row]
            cases.append(Case(case_key=f"c{row}", patient_key=patients[row], image=ref, mask=ref if known else None, label=label))
        split = Split(parts={Part.VALIDATION: tuple(case.case_key for case in cases)})
        Cohort(name="x", origin="test", classes=task.classes, cases=tuple(cases), split=split).write(store.root / "x.json")
        return CohortSet(uses={SUBSET: CohortUse(cohort=store.refer("x.json"), part=Part.VALIDATION)}, certificates=())

    return make


def drawn(*shape):
    return torch.from_numpy(np.random.default_rng(0).uniform(-0.9, 0.9, shape).astype(np.float32))


def sigmoid(values):
    return 1 / (1 + np.exp(-np.asarray(values, dtype=np.float64)))


def test_a_classifiers_labelled_cases_are_the_samples_and_a_positive_is_as_likely_as_it_is(store, stored):
    images, labels = drawn(24, 4, 4), [row % 2 for row in range(22)] + [None, None]
    patients = [f"p{row // 2}" for row in range(24)]
    found = ask(Brightest(), stored(PICTURES, images, None, patients, labels), SUBSET, store, PICTURES)
    top = images.flatten(1).amax(1).numpy()[:22]
    assert found.cases == 22
    assert found.samples.names == tuple(f"p{place}" for place in range(11))
    assert found.samples.labels.tolist() == labels[:22]
    assert found.samples.patient.tolist() == [row // 2 for row in range(22)]
    assert np.abs(found.samples.logits - np.stack([0 * top, top], 1)).max() < 1e-6
    assert (found.bound.unit, found.bound.patients, found.bound.units) == ("positive", 11, 11)
    # Of eleven patients a tenth may miss less than one: the threshold is the least likely positive.
    assert found.bound.threshold == pytest.approx(sigmoid(top[1::2]).min(), abs=1e-6)
    assert found.bound.false_positives == pytest.approx((sigmoid(top[0::2]) >= found.bound.threshold).mean())


def whole_volume(model, volumes, row, task):
    """Answer about a volume in one pass: windows are tested elsewhere, and the library that cuts them takes seconds to import."""
    return volumes.alignments[row].to_source(model(volumes.images[row][None])[0])


def two_lesions(*space):
    """Return a label map with two lesions, which touch nowhere, not even at a corner."""
    label = torch.zeros(*space, dtype=torch.uint8)
    label[..., 0, 0], label[..., 2:, 2:] = 1, 1
    return label


@pytest.mark.parametrize("task", [SEGMENTED, VOLUMES])
def test_a_lesion_is_as_likely_as_its_likeliest_voxel(store, stored, task, monkeypatch):
    monkeypatch.setattr(ask_validation, "volume_logits", whole_volume)
    images, masks = drawn(12, *task.image_size), [two_lesions(*task.image_size)] * 11 + [None]
    found = ask(EachPixel(), stored(task, images, masks, [f"p{row}" for row in range(12)]), SUBSET, store, task)
    lesions = [[one[..., 0, 0].max(), one[..., 2:, 2:].max()] for one in images.numpy()[:11]]
    assert (found.cases, found.bound.unit, found.bound.patients, found.bound.units) == (11, "lesion", 11, 22)
    assert found.bound.threshold == pytest.approx(sigmoid(np.min(lesions)), abs=1e-5)
    # So few voxels that all are kept, each with its label.
    logits = images[:11].flatten(1).double().numpy().ravel()
    labels = np.tile(two_lesions(*task.image_size).numpy().ravel(), 11)
    assert np.abs(np.sort(found.samples.logits[:, 1]) - np.sort(logits)).max() < 1e-5
    assert found.samples.labels.sum() == labels.sum()
    inside = np.sort(found.samples.logits[found.samples.labels == 1, 1])
    assert np.abs(inside - np.sort(logits[labels == 1])).max() < 1e-5


def test_what_was_not_measured_is_neither_sampled_nor_part_of_a_lesion():
    logits = np.zeros((2, 1, 6))
    logits[1, 0] = [3, 2, 1, 0, -1, -2]
    label, measured = np.array([[1, 1, 0, 0, 1, 1]]), np.array([[False, True, True, True, True, False]])
    found = ask_validation._voxels(logits, label.astype(np.uint8), measured, 99, np.random.default_rng(0))
    assert found.logits[:, 1].tolist() == [2, 1, 0, -1]
    assert found.labels.tolist() == [1, 0, 0, 1]
    assert found.lesions == pytest.approx(sigmoid([2, -1]))


@pytest.mark.parametrize("wanted", [0, 1, 40])
def test_voxels_are_drawn_once_each_and_at_least_one(wanted):
    logits = np.stack([np.zeros(100), np.arange(100.0)])
    found = ask_validation._voxels(logits, np.zeros(100, np.uint8), np.ones(100, bool), wanted, np.random.default_rng(0))
    assert len(found.labels) == max(1, wanted) == len(set(found.logits[:, 1]))
    assert len(found.lesions) == 0


@pytest.mark.parametrize("most", [10, 11, 12])
def test_patients_are_drawn_whole_and_the_same_each_time(monkeypatch, most):
    monkeypatch.setattr(ask_validation, "MOST_CASES", most)
    cases = [SimpleNamespace(patient_key=f"p{row % 20}") for row in range(60)]
    labelled = [row != 7 for row in range(60)]
    rows = ask_validation._drawn(labelled, cases).tolist()
    assert rows == ask_validation._drawn(labelled, cases).tolist() == sorted(rows)
    assert most - 3 < len(rows) <= most
    assert 7 not in rows
    for patient in {row % 20 for row in rows}:
        assert [row for row in rows if row % 20 == patient] == [row for row in range(patient, 60, 20) if row != 7]


def test_a_patient_with_more_cases_than_are_asked_is_asked_about_all(monkeypatch):
    monkeypatch.setattr(ask_validation, "MOST_CASES", 2)
    assert ask_validation._drawn([True] * 5, [SimpleNamespace(patient_key="p")] * 5).tolist() == [0, 1, 2, 3, 4]


def test_without_a_label_there_is_nothing_to_ask_about(store, stored):
    with pytest.raises(DataError, match="none has a label") as caught:
        ask(EachPixel(), stored(SEGMENTED, drawn(2, 4, 4), None, ["p", "q"]), SUBSET, store, SEGMENTED)
    assert caught.value.code == "VALIDATION_MISSING"


class Broken(nn.Module):
    """Logits of which one is no number."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        logits = self.network(image)
        logits[0, 1] = float("nan")
        return logits


@pytest.mark.parametrize(("network", "task"), [(Brightest(), PICTURES), (EachPixel(), SEGMENTED)])
def test_logits_that_are_no_numbers_are_refused(store, stored, network, task):
    cohorts = stored(task, drawn(2, 4, 4), [two_lesions(4, 4)] * 2, ["p", "q"], [0, 1])
    with pytest.raises(DataError, match="expected finite logits") as caught:
        ask(Broken(network), cohorts, SUBSET, store, task)
    assert caught.value.code == "CALIBRATION_NOT_FINITE"
