"""A registered teacher is refused where it sees other images than the students do."""

from __future__ import annotations

import pytest

from data_contracts import RegistryError, Task
from medkd.registry.adopt_teacher import require_same_task

TASK = Task(kind="segmentation", classes=("a", "b"), image_size=(8, 8, 8), intensity="z_score", spacing_mm=(1, 1, 1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": ("a", "c")}, "task.classes is ['a', 'b'], the teacher's ['a', 'c']"),
        ({"intensity": "standardised"}, "task.intensity is z_score, the teacher's standardised"),
        ({"spacing_mm": (1, 1, 2)}, "task.spacing_mm"),
        ({"spacing_mm": None}, "task.spacing_mm"),
        ({"image_size": (8, 8)}, "task.spatial_dims is 3, the teacher's 2"),
    ],
)
def test_what_differs_is_said(change, said):
    with pytest.raises(RegistryError) as caught:
        require_same_task(TASK, TASK.model_copy(update=change), "models:/x/1")
    assert caught.value.code == "TEACHER_TASK"
    assert said in str(caught.value)


def test_windows_count_where_they_are_used_and_patches_never():
    require_same_task(TASK, TASK.model_copy(update={"window": (0.0, 1.0), "image_size": (16, 16, 16), "overlap": 0.25}), "u")
    windowed = TASK.model_copy(update={"intensity": "window"})
    with pytest.raises(RegistryError, match=r"task\.window"):
        require_same_task(windowed, windowed.model_copy(update={"window": (0.0, 1.0)}), "u")
