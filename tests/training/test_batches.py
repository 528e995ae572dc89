from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from data_contracts import DataError, Task, TrainingConfig
from medkd.cohorts.tensor_cohort import open_use
from medkd.training.batches import epoch_samples, on_device, own_part, resident

CONFIG = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01, precision="fp32", augment="flip")
TASK = Task(kind="classification", classes=("benign", "malignant"))


@pytest.fixture
def cohort(workspace, recipe, cohorts):
    return open_use(cohorts, "student_train/0", workspace.store, recipe.task)


def test_an_epoch_is_a_function_of_seed_and_number(cohort):
    first, again, other, seeded = (
        [s.image for s in epoch_samples(cohort, TASK, CONFIG, seed=seed, epoch=epoch)] for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[0], seeded[0])


def test_few_cases_can_fill_an_epoch(cohort):
    few = cohort.select(torch.arange(10))
    config = CONFIG.model_copy(update={"samples_per_epoch": 64})
    assert len(list(epoch_samples(few, TASK, config, seed=0, epoch=0))) == 4


def test_a_cohort_stays_where_it_is_without_a_gpu_and_moves_as_a_whole(cohort):
    assert resident(cohort, torch.device("cpu")) is cohort
    moved = cohort.to(torch.device("meta"))
    assert moved.images.device.type == moved.valid.device.type == "meta"
    assert cohort.nbytes() > cohort.images.nbytes


def test_a_batch_moves_and_its_patients_stay(cohort):
    sample = cohort.draw(torch.arange(4), TASK, CONFIG, torch.Generator())
    moved = on_device(sample, torch.device("meta"))
    assert moved.image.device.type == moved.labels.device.type == "meta"
    assert moved.patients is sample.patients


def test_the_part_of_a_process_is_rows_that_follow_one_another(cohort):
    class Two:
        world_size, global_rank = 2, 1

    sample = cohort.draw(torch.arange(8), TASK, CONFIG, torch.Generator())
    part = own_part(sample, Two())
    assert torch.equal(part.image, sample.image[4:])
    assert torch.equal(part.labels, sample.labels[4:])
    with pytest.raises(DataError) as caught:
        own_part(replace(sample, inputs={"image": sample.image[:7]}), Two())
    assert caught.value.code == "BATCH_UNEVEN"
