from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import ClassAnswer, TaskKind
from medkd.drift.prediction_profile import of_classes, of_probabilities, prediction_profile
from medkd.inference.segment import prepare_study
from medkd.volumes.orientation import Grid
from tests.drift.phantom_drift import GEOMETRY, TASK


def test_expected_dice_is_the_mean_dice_of_drawn_labels():
    """Labels drawn voxel by voxel with the probabilities: the mean of their Dice with the mask, in a picture large enough."""
    generator = np.random.default_rng(0)
    found = generator.uniform(size=(1, 60, 60)).astype(np.float32)
    probability = np.stack([1 - found, found])
    mask = found > 0.5
    drawn = generator.uniform(size=(400, *found.shape)) < found
    dice = 2 * (drawn & mask).sum((1, 2, 3)) / (drawn.sum((1, 2, 3)) + mask.sum())
    assert of_probabilities(probability)["expected_dice"] == pytest.approx(dice.mean(), abs=0.002)


def test_entropy_and_confidence_are_counted_by_hand():
    probability = np.array([[0.5, 1.0], [0.25, 0.0], [0.25, 0.0]], dtype=np.float32)[:, None]
    found = of_probabilities(probability)
    assert found["confidence"] == pytest.approx(0.75)
    assert found["entropy"] == pytest.approx(0.5 * 1.5 * np.log(2), abs=1e-6)
    assert (found["confidence_in_findings"], found["expected_dice"]) == (None, None)


def test_volume_and_lesions_are_those_of_the_record(student):
    loaded, (record, arrays), study = student
    prepared = prepare_study(study.values, Grid(GEOMETRY.shape, np.asarray(GEOMETRY.affine_lps_mm)), TASK)
    found = prediction_profile(loaded, prepared, record, arrays)
    marked = int((arrays["segmentation/student"] > 0).sum())
    assert found["volume_ml"] == pytest.approx(marked * 0.036)  # 4 x 3 x 3 mm
    assert found["lesions"] == len(record.lesions)
    assert "dice_to_teacher" not in found
    with_teacher = prediction_profile(loaded, prepared, record, {**arrays, "segmentation/teacher": arrays["segmentation/student"]})
    assert with_teacher["dice_to_teacher"] == 1.0
    sure = torch.softmax(loaded.network(prepared.image), 1)
    assert found["confidence"] == pytest.approx(float(sure.amax(1).mean()), abs=1e-5)


def test_a_classifiers_answers_count_by_their_slices(student):
    record = student[1][0]
    answers = tuple(
        ClassAnswer(
            number=number,
            class_name="a",
            probability=0.5,
            first_slice=first,
            last_slice=last,
            key_slice=first,
            probabilities={"a": p, "b": 1 - p},
        )
        for number, first, last, p in ((1, 0, 2, 0.9), (2, 3, 3, 0.5))
    )
    found = of_classes(record.model_copy(update={"kind": TaskKind.CLASSIFICATION, "answers": answers}))
    assert found["probability_a"] == pytest.approx((3 * 0.9 + 0.5) / 4)
    assert found["confidence"] == pytest.approx((3 * 0.9 + 0.5) / 4)
    expected = -(3 * (0.9 * np.log(0.9) + 0.1 * np.log(0.1)) + np.log(0.5)) / 4
    assert found["entropy"] == pytest.approx(expected)
    assert found["answers"] == 2
