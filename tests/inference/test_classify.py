from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from data_contracts import Task
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.segment import prepare_study
from medkd.volumes.orientation import Grid

PICTURES = Task(kind="classification", classes=("a", "b"), image_size=(4, 4), window=(0.0, 6.0))
#: Slices along z, rows along y, columns along x: the order in which a network sees a volume.
UPRIGHT = np.eye(4)[[2, 1, 0, 3]]
VOLUMES = Task(kind="classification", classes=("a", "b"), image_size=(2, 2, 2), window=(0.0, 6.0))


def study(task):
    values = torch.arange(6.0).view(6, 1, 1).expand(6, 4, 4).contiguous()
    return prepare_study(values, Grid((6, 4, 4), UPRIGHT), task)


def test_every_slice_of_a_study_of_pictures_is_asked_about():
    pictures = pictures_of(study(PICTURES))
    assert pictures.shape == (6, 1, 4, 4)
    assert pictures[:, 0, 0, 0].tolist() == pytest.approx([n / 3 - 1 for n in range(6)])


def test_of_a_volume_the_patch_in_its_middle_is_asked_about():
    prepared = study(VOLUMES)
    patch = pictures_of(prepared)
    assert patch.shape == (1, 1, 2, 2, 2)
    middle = prepared.image[:, 2:4, 1:3, 1:3]
    assert torch.equal(patch[0], middle)
    assert torch.equal(pictures_of(prepared, -prepared.image)[0], -middle)


class LeftOfRight(nn.Module):
    """Answers with what the first column has more than the last."""

    def forward(self, image):
        margin = (image[..., 0] - image[..., -1]).flatten(1).mean(1)
        return torch.stack([-margin, margin], 1)


@pytest.mark.parametrize(("flips", "margin"), [((), 1.0), ((1,), 0.0), ((0,), 1.0)])
def test_answers_are_averaged_over_the_tasks_mirrorings(flips, margin):
    pictures = torch.zeros(2, 1, 4, 4)
    pictures[..., 0] = 1.0
    logits = class_logits(LeftOfRight(), pictures, study(PICTURES.model_copy(update={"test_time_flips": flips})))
    assert logits[:, 1].tolist() == pytest.approx([margin] * 2)
