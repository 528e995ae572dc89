"""Answers of a network on the voxels that a cohort was imported with, whatever grid the network works on."""

from __future__ import annotations

from torch import Tensor, nn

from data_contracts import Task
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.inference.predict import predict_volume


def leave_out_synthetic(cohort: VolumeCohort, row: int, labels: Tensor) -> Tensor:
    """Return a label map on the imported voxels with background where nothing was measured: there is nothing to be right about."""
    synthetic = cohort.synthetic[row]
    return labels if synthetic is None else labels.masked_fill(synthetic, 0)


def volume_logits(model: nn.Module, cohort: VolumeCohort, row: int, task: Task) -> Tensor:
    """Return logits [classes, slice, row, column] of one case on the voxels it was imported with."""
    return cohort.alignments[row].to_source(predict_volume(model, cohort.images[row], task))
