"""Nobody who is tested is looked at."""

from __future__ import annotations

import pytest
import torch

from data_contracts import CohortUse, LeakageError, Part, Subset
from medkd.cohorts.open_cohort import open_for_training, open_use
from medkd.compression.training_images import figure_on, require_untested, training_images


def test_calibration_takes_the_first_training_cases_of_the_students_seed(cohorts, workspace, recipe):
    shown = training_images(cohorts, 0, workspace.store, recipe.task, 5)
    expected = open_for_training(cohorts, Subset.STUDENT_TRAIN.of(0), workspace.store, recipe.task)
    assert torch.equal(torch.from_numpy(shown.images), expected.images[:5])
    assert shown.labels.tolist() == expected.labels[:5].tolist()
    assert len(training_images(cohorts, 0, workspace.store, recipe.task, 10_000).images) == len(expected)


def test_a_case_of_a_test_patient_is_refused(cohorts, workspace, recipe):
    tested = open_use(cohorts, Subset.TEST, workspace.store, recipe.task)
    with pytest.raises(LeakageError, match=tested.patients()[0]) as caught:
        require_untested(tested.select(torch.arange(1)), cohorts, workspace.store)
    assert caught.value.code == "CALIBRATION_ON_TEST"
    # The same where the recipe itself would hand them over.
    use = cohorts.uses[Subset.TEST]
    mixed = cohorts.model_copy(
        update={"uses": {**cohorts.uses, Subset.STUDENT_TRAIN.of(0): CohortUse(cohort=use.cohort, part=Part(use.part))}}
    )
    with pytest.raises(LeakageError, match="calibrated on training patients alone"):
        training_images(mixed, 0, workspace.store, recipe.task, 3)


class Known:
    def __init__(self, answer):
        self.answer = answer

    def ask(self, images):
        return [self.answer(images)]


def test_the_figure_is_the_share_of_right_answers(cohorts, workspace, recipe):
    shown = training_images(cohorts, 0, workspace.store, recipe.task, 40)
    right = Known(lambda _: torch.nn.functional.one_hot(torch.from_numpy(shown.labels), 2).float().numpy())
    wrong = Known(lambda _: 1 - torch.nn.functional.one_hot(torch.from_numpy(shown.labels), 2).float().numpy())
    assert (figure_on(shown, recipe.task)(right), figure_on(shown, recipe.task)(wrong)) == (1.0, 0.0)
