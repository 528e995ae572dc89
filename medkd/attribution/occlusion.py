"""Occlusion: how much the score falls when a window of the image is hidden, for every place of the window."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from medkd.attribution._chunk import passes_at_once
from medkd.attribution._gradients import refuse_differentiable
from medkd.attribution._grid import require_finite
from medkd.attribution._hide import MaskedInput, case_by_case
from medkd.targets import Target
from medkd.trace import Trace
from medkd.types import AttributionMap

SOURCE = "Zeiler & Fergus 2014 (1311.2901)"
SCOPE, ACCESS = "local", "black box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = True, False, True, False, True
TASKS = frozenset({"classification", "segmentation"})


def occlusion(
    trace: Trace, target: Target, *, differentiable: bool = False, cells: int | None = None, baseline: float = 0.0
) -> AttributionMap:
    """Return per voxel the mean fall of the score over the windows that hide it, in units of the target.

    Windows are 1/``cells`` of the image along each axis and move by half of that.

    Args:
        trace: gives the model and the image [batch, channel, *space].
        target: any function of the logits, or several.
        differentiable: refused.
        cells: windows along each axis; None means 8 for pictures and 4 for volumes. Fewer (larger) ones under a time budget.
        baseline: value of what is hidden, in the network's input units: the middle of the window. Its low end is air: a hole in a body is
            a finding of its own (on planted truth such maps were turned round, README.md).

    Returns:
        Map [batch, *space] ([batch, targets, *space] of several targets).

    Raises:
        ExplanationError: ``NOT_DIFFERENTIABLE`` or ``MAP_NOT_FINITE``.
    """
    refuse_differentiable(differentiable, "occlusion")
    space = trace.image.shape[2:]
    wanted = cells or (8 if len(space) == 2 else 4)

    def explain(masked: MaskedInput) -> Tensor:
        passes = masked.affordable((2 * wanted - 1) ** len(space), least=3 ** len(space))
        # The finest windows that the budget pays for; two along each axis are the coarsest that say anything of place.
        fitting = max(c for c in range(2, max(wanted, 2) + 1) if c == 2 or (2 * c - 1) ** len(space) <= passes)
        return _falls(masked, windows(tuple(space), min(wanted, fitting)))

    return require_finite(case_by_case(trace, target, baseline, explain), "occlusion")


def windows(space: tuple[int, ...], cells: int) -> list[tuple[slice, ...]]:
    """Return all places of a window of 1/``cells`` of the image, moved by half of it; together they cover every voxel."""
    along = []
    for extent in space:
        size = max(1, -(-extent // cells))
        step = max(1, size // 2)
        # The last window ends with the image, also where the step does not divide it: every voxel is hidden at least once.
        begins = sorted({*range(0, extent - size, step), extent - size})
        along.append([slice(begin, begin + size) for begin in begins])
    return list(itertools.product(*along))


def _falls(masked: MaskedInput, places: list[tuple[slice, ...]]) -> Tensor:
    """Return the mean fall per voxel, [targets, *space]."""
    image = masked.image
    before = masked.scores(image)
    total = torch.zeros(before.shape[1], *image.shape[2:], dtype=torch.double, device=image.device)
    times = torch.zeros(image.shape[2:], dtype=torch.double, device=image.device)
    chunk = passes_at_once(image)
    for begin in range(0, len(places), chunk):
        some = places[begin : begin + chunk]
        copies = image.repeat(len(some), *(1,) * (image.ndim - 1))
        for copy, place in zip(copies, some, strict=True):
            copy[(slice(None), *place)] = masked.baseline
        for fall, place in zip(before - masked.scores(copies), some, strict=True):
            total[(slice(None), *place)] += fall.view(-1, *(1,) * (image.ndim - 2))
            times[place] += 1
    return (total / times).float()
