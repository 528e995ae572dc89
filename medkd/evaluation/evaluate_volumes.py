"""Per-case results of a network that segments volumes: every class on its own, distances in mm, maps beside the teacher's.

Answers are brought back to the voxels a volume was imported with and scored there, whatever grid the network works on.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from data_contracts import Task
from medkd.attribution.cam import cam
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.inference.predict import predict_class_maps
from medkd.inference.predict_cohort import leave_out_synthetic, volume_logits
from medkd.measures.cosine_agreement import cosine_agreement
from medkd.measures.dice import dice
from medkd.measures.hausdorff_95 import hausdorff_95
from medkd.measures.lesion_f1 import lesion_f1
from medkd.measures.pointing_game import pointing_game
from medkd.measures.relevance_mass_accuracy import relevance_mass_accuracy
from medkd.measures.surface_dice import surface_dice
from medkd.targets import lesion_margin

#: Patches per forward pass when maps are made.
CHUNK = 2


def evaluate_volumes(model: nn.Module, teacher_network: nn.Module, cohort: VolumeCohort, task: Task) -> dict[str, Tensor]:
    """Return float64 [n] per quantity, named ``test/QUANTITY``; per class ``dice_CLASS``, ``hausdorff_95_CLASS``, …"""
    rows = []
    for row in range(len(cohort)):
        answer, reference = (volume_logits(network, cohort, row, task).argmax(0) for network in (model, teacher_network))
        answer, reference, label = (leave_out_synthetic(cohort, row, one) for one in (answer, reference, cohort.references[row]))
        values = score_answer(answer, label, task, spacing_mm=cohort.spacing_mm(row))
        rows.append(values | {"dice_to_teacher": dice((answer > 0)[None], (reference > 0)[None])[0].double()})
    arrays = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return {f"test/{name}": value for name, value in (arrays | compare_maps(model, teacher_network, cohort, task)).items()}


def class_names(task: Task) -> tuple[str, ...]:
    """Return the foreground classes as they appear in names of figures."""
    return tuple(name.lower().replace(" ", "_") for name in task.classes[1:])


def score_answer(answer: Tensor, label: Tensor, task: Task, *, spacing_mm: tuple[float, ...] | None) -> dict[str, Tensor]:
    """Return 0-d float64 values of one case: ``MEASURE_CLASS`` for each foreground class, and ``dice``, their mean where defined.

    Args:
        answer: class index of every voxel, [*space].
        label: of the same shape.
        task: names the classes; with one foreground class the names carry no suffix.
        spacing_mm: voxel spacing; None (pictures) gives distances in pixels, named ``…_px``.
    """
    values = {}
    for index, name in enumerate(class_names(task), 1):
        suffix = f"_{name}" if len(task.classes) > 2 else ""
        predicted, labelled = (answer == index)[None], (label == index)[None]
        values[f"dice{suffix}"] = dice(predicted, labelled)[0].double()
        unit = "_px" if spacing_mm is None else ""
        values[f"hausdorff_95{unit}{suffix}"] = hausdorff_95(predicted, labelled, spacing_mm=spacing_mm)[0]
        values[f"surface_dice{unit}{suffix}"] = surface_dice(predicted, labelled, spacing_mm=spacing_mm)[0]
        values[f"lesion_f1{suffix}"] = lesion_f1(predicted, labelled)[0]
    # The mean over classes that are defined: a structure that neither has nor gets a voxel says nothing.
    values["dice"] = torch.stack([value for name, value in values.items() if name.startswith("dice")]).nanmean()
    return values


def compare_maps(model: nn.Module, teacher_network: nn.Module, cohort: VolumeCohort, task: Task) -> dict[str, Tensor]:
    """Return ``agreement``, ``relevance_mass_accuracy`` and ``pointing`` [n] of class maps in the patch round each label.

    Both networks explain the guide's answer.
    """
    parts: dict[str, list[Tensor]] = {"agreement": [], "relevance_mass_accuracy": [], "pointing": []}
    for images, masks in _patches(cohort, task):
        _, _, student_trace = predict_class_maps(model, images, chunk=CHUNK)
        teacher_logits, _, teacher_trace = predict_class_maps(teacher_network, images, chunk=CHUNK)
        target = lesion_margin((teacher_logits.argmax(1) > 0).to(torch.uint8))
        student, reference = cam(student_trace, target), cam(teacher_trace, target)
        parts["agreement"].append(cosine_agreement(student, reference).double())
        parts["relevance_mass_accuracy"].append(relevance_mass_accuracy(student, masks).double())
        parts["pointing"].append(pointing_game(student, masks).double())
    return {name: torch.cat(values) for name, values in parts.items()}


def _patches(cohort: VolumeCohort, task: Task) -> Iterator[tuple[Tensor, Tensor]]:
    for begin in range(0, len(cohort), CHUNK):
        few = cohort.select(torch.arange(begin, min(begin + CHUNK, len(cohort)))).as_tensors(task, centre="label")
        yield few.images, few.masks
