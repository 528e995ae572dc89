"""Labels of training cases without some classes: cases left out or without a label, voxels without one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import flows
from data_contracts import DataError, Task, TrainingConfig
from medkd.cohorts.hidden_classes import hide_classes
from medkd.cohorts.open_cohort import open_for_training
from medkd.cohorts.phantom_cohorts import prepare_phantom_cohorts
from medkd.storage.store import Store
from medkd.training.recipes import read_recipe

RECIPE = Path(flows.__file__).parent / "recipes" / "zero_shot_class.yaml"
FEW = {f"data.{name}": 12 for name in ("teacher", "teacher_validation", "student", "unlabelled", "test")} | {"seeds": [0]}
DENSE = {"task.kind": "segmentation", "task.classes": ["background", "lesion", "cyst"], "teacher.gate": {"min_dice": 0.5}}
FIT = TrainingConfig(epochs=1, batch_size=4, foreground_share=1.0)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """Return how the student's training cases of a task are opened."""

    def of(changes):
        recipe = read_recipe(
            RECIPE,
            {**FEW, **changes, "teacher.network.builder": "unet", "student.network.builder": "unet", "arms": ALONE} if changes else FEW,
        )
        store = Store(tmp_path_factory.mktemp("store"), "run")
        cohorts = prepare_phantom_cohorts(recipe.cohorts(), recipe.data, store)
        return open_for_training(cohorts, "student_train/0", store, recipe.task), recipe.task

    return of


ALONE = {"alone": {"terms": [{"loss": "cross_entropy"}]}}


def test_cases_of_a_hidden_class_are_left_out_or_stay_without_a_label(opened):
    cohort, task = opened({})
    assert cohort.labels.bincount().tolist() == [4, 4, 4]
    assert hide_classes(cohort, task, (), keep_cases=False) is cohort
    left = hide_classes(cohort, task, ("cyst",), keep_cases=False)
    assert sorted(set(left.labels.tolist())) == [0, 1]
    assert len(left) == len(left.cases) == 8
    kept = hide_classes(cohort, task, ("cyst",), keep_cases=True)
    assert kept.labels.tolist() == [-1 if label == 2 else label for label in cohort.labels.tolist()]
    with pytest.raises(DataError) as caught:
        hide_classes(left, task, ("benign", "malignant"), keep_cases=False)
    assert caught.value.code == "COHORT_EMPTY"


def test_voxels_of_a_hidden_class_have_no_label_in_pictures(opened):
    cohort, task = opened(DENSE)
    rows = torch.arange(len(cohort))
    whole = cohort.draw(rows, task, FIT, torch.Generator())
    assert sorted(whole.labels.unique().tolist()) == [0, 1, 2]
    shown = hide_classes(cohort, task, ("cyst",), keep_cases=False).draw(rows, task, FIT, torch.Generator())
    cyst = whole.labels == 2
    assert (shown.labels[cyst] == -1).all()
    assert not shown.masks[cyst].any()
    assert torch.equal(shown.labels[~cyst], whole.labels[~cyst])
    assert torch.equal(shown.masks[~cyst], whole.masks[~cyst])
    assert torch.equal(shown.image, whole.image)


def test_voxels_of_a_hidden_class_have_no_label_in_volumes_and_no_patch_is_drawn_round_them(opened):
    cohort, task = opened({**DENSE, "task.image_size": [4, 16, 16]})
    hidden = hide_classes(cohort, task, ("cyst",), keep_cases=False)
    cyst = torch.tensor([row for row, case in enumerate(cohort.cases) if case.label == 2])
    generators = [torch.Generator().manual_seed(5) for _ in range(3)]
    before, after = (one.draw(cyst, task, FIT, generator) for one, generator in zip((cohort, hidden), generators, strict=False))
    assert (before.labels == 2).any()
    assert set(after.labels.unique().tolist()) <= {0, -1}
    assert not after.masks.any()
    # Where every patch is to be round a lesion, those of a case whose only lesion is hidden are anywhere.
    places = torch.stack([hidden.draw(cyst, task, FIT, generators[2]).window for _ in range(20)])
    reach = torch.stack([cohort.draw(cyst, task, FIT, generators[2]).window for _ in range(20)])
    assert places.float().std(0).mean() > 1.5 * reach.float().std(0).mean()


def test_a_task_names_the_class():
    task = Task(kind="classification", classes=("a", "b"))
    with pytest.raises(ValueError, match="not in"):
        hide_classes(object(), task, ("c",), keep_cases=False)
