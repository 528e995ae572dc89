from __future__ import annotations

import pytest
import torch

from data_contracts import Case, Cohort, CohortSet, CohortUse, DataError, Part, Split, Task
from medkd.cohorts.open_cohort import open_for_maps, open_for_training, open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.storage.store import Store
from tests.cohorts.pictures import TASK, cohort_set, stored_cohort

VOLUMES = Task(kind="segmentation", classes=("background", "a"), image_size=(4, 4, 4), window=(0.0, 1.0))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", "run")


def stored_volume(store):
    """Write a cohort of one volume whose label lies in its last corner."""
    label = torch.zeros(8, 8, 8, dtype=torch.uint8)
    label[7, 7, 7] = 1
    shard = store.write_tensors("v.safetensors", {"image": torch.zeros(8, 8, 8), "affine_lps_mm": torch.eye(4).double(), "label": label})
    case = Case(case_key="c", patient_key="p", image=shard, mask=shard, label=1)
    cohort = Cohort(name="v", origin="test", classes=("background", "a"), cases=(case,), split=Split(parts={Part.TEST: ("c",)}))
    cohort.write(store.root / "v.json")
    return CohortSet(uses={"test": CohortUse(cohort=store.refer("v.json"), part=Part.TEST)}, certificates=())


def test_pictures_are_opened_as_one_array_for_every_purpose(store):
    cohorts = cohort_set(stored_cohort(store, {}))
    for opened in (f(cohorts, "test", store, TASK) for f in (open_for_training, open_pictures, open_for_maps)):
        assert isinstance(opened, TensorCohort)
        assert opened.images.shape == (1, 1, 4, 4)


def test_volumes_that_are_segmented_stay_whole_for_training_and_their_maps_are_round_the_label(store):
    cohorts = stored_volume(store)
    assert isinstance(open_for_training(cohorts, "test", store, VOLUMES), VolumeCohort)
    assert bool(open_for_maps(cohorts, "test", store, VOLUMES).masks.any())
    assert not bool(open_pictures(cohorts, "test", store, VOLUMES).masks.any())


def test_volumes_that_are_classified_are_the_patch_in_their_middle(store):
    task = Task(kind="classification", classes=("background", "a"), image_size=(4, 4, 4), window=(0.0, 1.0))
    for opened in (f(stored_volume(store), "test", store, task) for f in (open_for_training, open_for_maps)):
        assert isinstance(opened, TensorCohort)
        assert opened.images.shape == (1, 1, 4, 4, 4)
        assert not bool(opened.masks.any())


def test_a_subset_that_does_not_exist_is_refused_with_those_that_do(store):
    with pytest.raises(DataError, match=r"'debiased', this set has \['test'\]") as caught:
        open_volume_use(stored_volume(store), "debiased", store, VOLUMES)
    assert caught.value.code == "COHORT_MISSING"
