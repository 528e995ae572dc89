"""Lesions of a volume that is segmented window by window, explained on the windows that have a say in them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import ExplanationError, Task
from medkd.attribution._attribute import attribute
from medkd.attribution._budget import expect_windows
from medkd.targets import LesionMargin, MultiTarget
from medkd.types import AttributionMap


@dataclass(frozen=True)
class Plan:
    """How a volume is cut into windows and their answers are averaged: that of ``predict_volume``.

    Attributes:
        begin: voxels of padding before the volume, along each axis.
        extent: of the padded volume.
        places: where each window lies in it.
        shares: of each window in the average at its voxels, [*window], summing to one over the windows of a voxel.
    """

    begin: tuple[int, ...]
    extent: tuple[int, ...]
    places: tuple[tuple[slice, ...], ...]
    shares: tuple[Tensor, ...]


def plan_of(shape: Sequence[int], task: Task) -> Plan:
    """Return the windows of a volume [*space] of this shape."""
    from monai.data.utils import compute_importance_map, dense_patch_slices  # seconds to import: paid where volumes are explained

    window = task.image_size
    extent = tuple(max(size, along) for size, along in zip(shape, window, strict=True))
    begin = tuple((wide - size) // 2 for wide, size in zip(extent, shape, strict=True))
    step = [along if along == wide else max(1, int(along * (1 - task.overlap))) for along, wide in zip(window, extent, strict=True)]
    places = tuple(tuple(place) for place in dense_patch_slices(extent, window, step, return_slice=True))
    bump = compute_importance_map(window, mode="gaussian", sigma_scale=0.125, dtype=torch.float32)
    bump = bump.reshape(window).clamp_min(1e-3 if len(places) > 1 else 1.0)
    total = torch.zeros(extent)
    for place in places:
        total[place] += bump
    return Plan(begin, extent, places, tuple(bump / total[place] for place in places))


def flips_of(task: Task) -> list[tuple[int, ...]]:
    """Return the mirrorings that a task's answers are averaged over, none first."""
    return [axes for size in range(len(task.test_time_flips) + 1) for axes in itertools.combinations(task.test_time_flips, size)]


def explain_volume(
    model: nn.Module,
    volume: Tensor,
    task: Task,
    masks: Tensor,
    *,
    explainer: str,
    classes: Sequence[int],
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> AttributionMap:
    """Return one map per lesion, [lesions, *space], in logits: what each voxel of the volume has to do with the lesion's margin.

    The averaged answer is linear in the windows' answers. A lesion's margin is the sum over windows of the margins of its voxels there, each
    weighted by the window's share, so that maps of windows add up: exactly, for explainers that are additive. Windows without a voxel of a
    lesion have no say in it and are not asked.

    Args:
        model: segmentation network.
        volume: [channel, *space], as it was predicted.
        task: size and overlap of windows, flips that are averaged over.
        masks: frozen lesions, bool or uint8 [lesions, *space].
        explainer: name in the catalogue.
        classes: class of each lesion; class 0 is the background.
        options: of the explainer.
        seed: of explainers that draw.

    Raises:
        ExplanationError: ``TARGET_MASK`` when there is no lesion (an answer, not a map) or masks are of another grid.
    """
    if not len(masks) or masks.shape[1:] != volume.shape[1:] or len(classes) != len(masks):
        raise ExplanationError(
            "TARGET_MASK",
            f"expected a class per lesion and masks {tuple(volume.shape[1:])}, got {len(classes)} classes and masks {tuple(masks.shape)}",
        )
    plan = plan_of(tuple(volume.shape[1:]), task)
    padding = [
        amount
        for begin, size, extent in reversed(list(zip(plan.begin, volume.shape[1:], plan.extent, strict=True)))
        for amount in (begin, extent - begin - size)
    ]
    padded, wanted = functional.pad(volume, padding, value=float(volume.min())), functional.pad(masks.float(), padding)
    total = torch.zeros(len(masks), *plan.extent)
    flips = flips_of(task)
    windows = []
    for place, share in zip(plan.places, plan.shares, strict=True):
        weights = wanted[(slice(None), *place)] * share
        touched = [index for index in range(len(masks)) if bool(weights[index].any())]
        if touched:
            windows.append((place, weights, touched))
    expect_windows(len(windows) * len(flips))
    for place, weights, touched in windows:
        for axes in flips:
            mirrored = tuple(axis + 1 for axis in axes)
            image = padded[(slice(None), *place)].flip(mirrored)
            targets = [LesionMargin(weights[index].flip(axes)[None] / len(flips), classes[index]) for index in touched]
            maps = attribute(model, image[None], MultiTarget(tuple(targets)), explainer=explainer, options=options, seed=seed)[0]
            for index, found in zip(touched, maps.flip(mirrored), strict=True):
                total[index][place] += found.cpu()
    inside = tuple(slice(begin, begin + size) for begin, size in zip(plan.begin, volume.shape[1:], strict=True))
    return total[(slice(None), *inside)]
