"""Per-case results of a network that segments volumes: every class on its own, distances in mm, maps beside the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_contracts import Task
from medkd.attribution.cam import cam
from medkd.inference.predict import predict_class_maps, predict_volume
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.dice import dice
from medkd.measures.hausdorff_95 import hausdorff_95
from medkd.measures.mass_in_lesion import mass_in_lesion
from medkd.measures.surface_dice import surface_dice
from medkd.targets import lesion_margin
from medkd.volumes.volume_cohort import VolumeCohort

#: Maps are compared on at most this many volumes.
MAP_CASES = 12


def evaluate_volumes(model: nn.Module, guide: nn.Module, cohort: VolumeCohort, task: Task) -> dict[str, Tensor]:
    """Return float64 [n] per quantity, named ``test/QUANTITY``; per class ``dice_CLASS``, ``hausdorff_95_CLASS``, ``surface_dice_CLASS``."""
    rows = [_case(model, guide, cohort, row, task) for row in range(len(cohort))]
    arrays = {f"test/{name}": torch.stack([row[name] for row in rows]) for name in rows[0]}
    arrays["test/dice"] = torch.stack([arrays[f"test/dice_{name}"] for name in class_names(task)]).nanmean(0)
    fitting = cohort.select(torch.arange(min(MAP_CASES, len(cohort)))).as_tensors(task)
    agreement, mass = _maps(model, guide, fitting.images, fitting.masks)
    return arrays | {"test/agreement": agreement, "test/mass_in_lesion": mass}


def class_names(task: Task) -> tuple[str, ...]:
    """Return the foreground classes as they appear in names of figures."""
    return tuple(name.lower().replace(" ", "_") for name in task.classes[1:])


def mean_foreground_dice(model: nn.Module, cohort: VolumeCohort, task: Task) -> float:
    """Return the mean over cases and foreground classes."""
    values = [
        dice((answer == index)[None], (cohort.labels[row] == index)[None])
        for row in range(len(cohort))
        for answer in (predict_volume(model, cohort.images[row], task).argmax(0),)
        for index in range(1, len(task.classes))
    ]
    return float(torch.stack(values).nanmean())


def _case(model: nn.Module, guide: nn.Module, cohort: VolumeCohort, row: int, task: Task) -> dict[str, Tensor]:
    answer, reference = (predict_volume(network, cohort.images[row], task).argmax(0) for network in (model, guide))
    label, spacing = cohort.labels[row], cohort.spacing_mm(row)
    values = {"dice_to_teacher": dice((answer > 0)[None], (reference > 0)[None])[0].double()}
    for index, name in enumerate(class_names(task), 1):
        mine, wanted = (answer == index)[None], (label == index)[None]
        values[f"dice_{name}"] = dice(mine, wanted)[0].double()
        values[f"hausdorff_95_{name}"] = hausdorff_95(mine, wanted, spacing_mm=spacing)[0]
        values[f"surface_dice_{name}"] = surface_dice(mine, wanted, spacing_mm=spacing)[0]
    return values


def _maps(model: nn.Module, guide: nn.Module, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    _, _, mine = predict_class_maps(model, images, chunk=2)
    answered, _, theirs = predict_class_maps(guide, images, chunk=2)
    target = lesion_margin((answered.argmax(1) > 0).to(torch.uint8))
    student, reference = cam(mine, target), cam(theirs, target)
    return cosine_agreement(student, reference), mass_in_lesion(student, masks)
