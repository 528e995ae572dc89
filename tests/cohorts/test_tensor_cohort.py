from __future__ import annotations

import pytest
import torch

from data_contracts import DataError, Part, TaskKind, TrainingConfig
from medkd.cohorts.tensor_cohort import MISSING, concatenate, open_cohort, open_use, patient_codes, patients_of, read_cohort
from medkd.storage.store import Store
from tests.cohorts.pictures import TASK, cohort_set, stored_cohort

FIT = TrainingConfig(epochs=1)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store", "run")


def masks():
    found = torch.zeros(3, 4, 4, dtype=torch.uint8)
    found[0, 0, 0] = found[1, 1, 1] = 1
    return found


def test_a_part_is_opened_in_the_order_of_its_cases_with_what_is_missing_marked(store):
    valid = torch.ones(3, 4, 4, dtype=torch.uint8)
    valid[1, 3] = 0
    uses = stored_cohort(store, {"masks": masks(), "valid": valid, "markers": torch.tensor([0, 1, 1], dtype=torch.uint8)})
    train, test = open_cohort(uses[Part.TRAIN], store, TASK), open_cohort(uses[Part.TEST], store, TASK)
    assert [case.case_key for case in train.cases] == ["c0", "c1"]
    assert train.images.shape == (2, 1, 4, 4)
    assert train.images[:, 0, 0, 0].tolist() == pytest.approx([-1.0, 2 / 255 - 1])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1], [MISSING])
    assert (train.has_mask.tolist(), test.has_mask.tolist()) == ([True, True], [False])
    assert (train.markers.tolist(), train.valid[1, 3].any().item()) == ([False, True], False)


def test_what_a_shard_does_not_hold_is_nothing_everywhere_valid(store):
    opened = open_cohort(stored_cohort(store, {})[Part.TRAIN], store, TASK)
    assert not opened.masks.any()
    assert not opened.markers.any()
    assert opened.valid.all()


def test_what_is_said_of_padding_is_nothing_on_any_grid(store):
    valid = torch.ones(3, 4, 4, dtype=torch.uint8)
    valid[0, :, 3] = valid[0, 3] = 0
    valid[1, 1:] = 0
    opened = open_cohort(stored_cohort(store, {"valid": valid})[Part.TRAIN], store, TASK)
    answers, maps = torch.ones(2, 4, 4, dtype=torch.int64), torch.ones(2, 3, 4, 4)
    assert torch.equal(opened.inside(answers), valid[:2].long())
    assert torch.equal(opened.inside(maps), valid[:2, None].float().expand(2, 3, 4, 4))
    # A coarse cell of which any voxel was measured counts.
    assert opened.inside(torch.ones(2, 2, 2)).tolist() == [[[1, 1], [1, 1]], [[1, 1], [0, 0]]]


def test_labels_of_a_segmentation_are_masks_and_missing_where_there_is_none(store):
    uses = stored_cohort(store, {"masks": masks()})
    task = TASK.model_copy(update={"kind": TaskKind.SEGMENTATION})
    both = concatenate(open_cohort(uses[Part.TRAIN], store, task), open_cohort(uses[Part.TEST], store, task))
    drawn = both.draw(torch.tensor([2, 0]), task, FIT, torch.Generator())
    assert (drawn.labels[0] == MISSING).all()
    assert torch.equal(drawn.labels[1], masks()[0].long())
    assert torch.equal(drawn.patients, patient_codes(["p2", "p0"]))


def test_rows_may_be_repeated(store):
    chosen = open_cohort(stored_cohort(store, {})[Part.TRAIN], store, TASK).select(torch.tensor([1, 1, 0]))
    assert chosen.patients() == ["p1", "p1", "p0"]
    assert chosen.labels.tolist() == [1, 1, 0]
    assert len(chosen) == 3


def test_two_cases_of_one_patient_have_one_code():
    codes = patient_codes(["a", "b", "a"]).tolist()
    assert codes[0] == codes[2] != codes[1]


def test_whose_cases_subsets_hold_is_known_without_opening_them(store):
    cohorts = cohort_set(stored_cohort(store, {}))
    assert patients_of(cohorts, ["test"], store) == {"p2"}
    assert patients_of(cohorts, ["test", "student_train/0"], store) == {"p0", "p1", "p2"}


@pytest.mark.parametrize(
    ("subset", "task", "code"),
    [("debiased", TASK, "COHORT_MISSING"), ("test", TASK.model_copy(update={"image_size": (8, 8)}), "COHORT_SHAPE")],
)
def test_what_is_not_there_or_of_another_size_is_refused(store, subset, task, code):
    with pytest.raises(DataError) as caught:
        open_use(cohort_set(stored_cohort(store, {})), subset, store, task)
    assert caught.value.code == code


def test_an_empty_part_and_an_altered_record_are_refused(store):
    uses = stored_cohort(store, {})
    with pytest.raises(DataError, match="expected cases in the validation part of cohort 'x'") as caught:
        open_cohort(uses[Part.VALIDATION], store, TASK)
    assert caught.value.code == "COHORT_EMPTY"
    (store.root / "cohorts" / "x.json").write_text("{}")
    with pytest.raises(DataError, match="missing or altered") as caught:
        read_cohort(uses[Part.TRAIN].cohort, store)
    assert caught.value.code == "COHORT_ALTERED"
