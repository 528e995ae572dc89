from __future__ import annotations

import pytest
import torch

from data_contracts import Task, TrainingConfig
from medkd.planning.invented_cases import invented_cases


@pytest.mark.parametrize("size", [(16, 24), (8, 16, 24)])
@pytest.mark.parametrize("kind", ["classification", "segmentation"])
def test_batches_have_the_shape_and_the_classes_of_the_task(kind, size):
    task = Task(kind=kind, classes=("a", "b", "c"), image_size=size)
    cases = invented_cases(task, 6)
    assert len(cases) == len(set(cases.patients())) == 6
    sample = cases.draw(torch.arange(4), task, TrainingConfig(epochs=1, foreground_share=1.0), torch.Generator().manual_seed(0))
    assert sample.inputs["image"].shape == (4, 1, *size)
    assert sample.labels.shape == ((4,) if kind == "classification" else (4, *size))
    assert sample.masks.any()
    if kind == "classification" or len(size) == 2:
        assert set(cases.labels.tolist() if kind == "classification" else cases.masks.unique().tolist()) == {0, 1, 2}


def test_the_same_count_gives_the_same_cases():
    task = Task(kind="classification", classes=("a", "b"), image_size=(8, 8))
    assert torch.equal(invented_cases(task, 3).images, invented_cases(task, 3).images)
