"""What a reader asks of one place of a study: "what supports this here?" """

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import ExplanationError, ExplanationRequest
from medkd.explanation.subjects import ExplainedRegion
from medkd.inference.segment import PreparedStudy
from medkd.targets import ClassMargin, LesionMargin

#: The number of maps of a place: those of findings begin with 1.
ASKED = 0


def voxel_asked(study: PreparedStudy, request: ExplanationRequest, marked: Tensor) -> tuple[ExplainedRegion, Tensor]:
    """Return the voxel that is asked about as what is explained, and as a mask uint8 [*network space].

    Args:
        study: the study.
        request: with a place.
        marked: class that the model gives each voxel, uint8 [slice, row, column].

    Raises:
        ExplanationError: ``PLACE_UNKNOWN`` for a voxel outside the study, ``CLASS_UNKNOWN`` for one of no class of the model.
    """
    place, names = _place_in(request, tuple(marked.shape)), study.task.classes
    # Where the model gives the background, its first structure is what might have been there.
    index = int(marked[place]) or 1 if request.class_name is None else _index_of(request.class_name, names[1:]) + 1
    region = torch.zeros_like(marked)
    region[place] = 1
    span = slice(None) if study.alignment is not None else slice(place[0], place[0] + 1)
    target = LesionMargin(region[None], index).record()
    return ExplainedRegion(ASKED, names[index], index, place[0], region, target, span), _on_network(study, place, region)


def slice_asked(study: PreparedStudy, request: ExplanationRequest, answers: Tensor, shape: tuple[int, ...]) -> ExplainedRegion:
    """Return the slice of the place that a classifier is asked about as what is explained; of a volume it is the whole.

    Args:
        study: the study.
        request: with a place.
        answers: class that the model gives each picture, int64 [picture].
        shape: slices, rows, columns of the study.

    Raises:
        ExplanationError: as :func:`voxel_asked`.
    """
    place, names = _place_in(request, shape), study.task.classes
    row = place[0] if study.alignment is None else 0
    index = int(answers[row]) if request.class_name is None else _index_of(request.class_name, names)
    span = slice(row, row + 1) if study.alignment is None else slice(0, shape[0])
    nothing = torch.zeros(shape, dtype=torch.uint8)
    return ExplainedRegion(ASKED, names[index], index, place[0], nothing, ClassMargin(index).record(), span)


def _place_in(request: ExplanationRequest, shape: tuple[int, ...]) -> tuple[int, int, int]:
    place = request.place
    if place is None or any(at >= extent for at, extent in zip(place, shape, strict=True)):
        raise ExplanationError("PLACE_UNKNOWN", f"expected slice, row and column within {shape}, counted from 0, got {place}")
    return place


def _index_of(name: str, names: tuple[str, ...]) -> int:
    if name not in names:
        raise ExplanationError("CLASS_UNKNOWN", f"expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


def _on_network(study: PreparedStudy, place: tuple[int, int, int], region: Tensor) -> Tensor:
    """Return the network's voxel at a place of the study: a coarser grid may pass a single voxel by, so that those round it are asked too."""
    grown = region.clone()
    for reach in range(1, max(region.shape) + 1):
        weights = study.to_network(grown)
        if float(weights.sum()) > 0:
            break
        grown[tuple(slice(max(0, at - reach), at + reach + 1) for at in place)] = 1
    axes = [torch.arange(size, dtype=torch.float32) for size in weights.shape]
    centre = torch.stack([(grid * weights).sum() for grid in torch.meshgrid(*axes, indexing="ij")]) / weights.sum()
    found = torch.zeros(weights.shape, dtype=torch.uint8)
    found[tuple(int(at) for at in centre.round())] = 1
    return found
