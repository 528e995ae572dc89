from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from data_contracts import Case, Ref, Task
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import align

REF = Ref(store="s", key="k", sha256="a" * 64)
TASK = Task(kind="segmentation", classes=("background", "a"), image_size=(4, 4, 4), window=(0.0, 1.0), spacing_mm=(1.0, 1.0, 1.0))


def cohort(shape, spacing):
    """Return one volume whose imported voxels are ``spacing`` mm apart along slices."""
    alignment = align(Grid(shape, np.diag([spacing, 1.0, 1.0, 1.0])), TASK)
    image = alignment.to_network(torch.zeros(shape))[None]
    label = torch.zeros(shape, dtype=torch.uint8)
    case = Case(case_key="c", patient_key="p", image=REF)
    return VolumeCohort((case,), (image,), (label,), (True,), (alignment,), (label,), (None,))


class Ones(nn.Module):
    def forward(self, image):
        return torch.cat([torch.zeros_like(image), torch.ones_like(image)], 1)


def test_answers_lie_on_the_voxels_that_were_imported():
    volumes = cohort((4, 8, 8), 2.0)
    assert volumes.images[0].shape[1] > 4
    logits = volume_logits(Ones(), volumes, 0, TASK)
    assert logits.shape == (2, 4, 8, 8)
    assert torch.allclose(logits[1], torch.ones(4, 8, 8))


def test_where_nothing_was_measured_there_is_nothing_to_be_right_about():
    volumes = cohort((4, 4, 4), 1.0)
    answer = torch.ones(4, 4, 4, dtype=torch.int64)
    assert leave_out_synthetic(volumes, 0, answer) is answer
    synthetic = torch.zeros(4, 4, 4, dtype=torch.bool)
    synthetic[2] = True
    left = leave_out_synthetic(replace(volumes, synthetic=(synthetic,)), 0, answer)
    assert left.sum((1, 2)).tolist() == [16, 16, 0, 16]
