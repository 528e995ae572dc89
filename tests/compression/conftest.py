from __future__ import annotations

import pytest

from medkd.training.train import distill, train_teacher


@pytest.fixture(scope="module")
def teacher(workspace, recipe, cohorts):
    return train_teacher(workspace, recipe.teacher_training(), cohorts)


@pytest.fixture(scope="module")
def student(workspace, recipe, cohorts, teacher):
    """Return a small classifier of pictures, trained for two epochs."""
    return distill(workspace, recipe.student_training("kd", 0), cohorts, teacher)
