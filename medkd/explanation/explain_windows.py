"""Lesions of a volume that is segmented window by window, explained on the windows that have a say in them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import ExplanationError, Task
from medkd.attribution._attribute import attribute
from medkd.attribution._budget import expect_windows
from medkd.explanation.subjects import Method
from medkd.inference.predict import predict_logits
from medkd.targets import LesionMargin, MultiTarget
from medkd.types import AttributionMap

#: Windows of one lesion that are explained in one pass.
WINDOWS_AT_ONCE = 4


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

    def padded(self, values: Tensor, value: float = 0.0) -> Tensor:
        """Return values [channel, *space of the volume] with a value round them, [channel, *extent]."""
        amounts = [
            amount
            for begin, size, extent in reversed(list(zip(self.begin, values.shape[1:], self.extent, strict=True)))
            for amount in (begin, extent - begin - size)
        ]
        return functional.pad(values, amounts, value=value)


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
    classes: Sequence[int],
    method: Method,
    *,
    only: Collection[int] | None = None,
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
        classes: class of each lesion; class 0 is the background.
        method: the explainer.
        only: places in the plan of the windows that are asked: maps are then of the part of each margin that these have a say in. None
            asks all.

    Raises:
        ExplanationError: ``TARGET_MASK`` when there is no lesion (an answer, not a map) or masks are of another grid.
    """
    if not len(masks) or masks.shape[1:] != volume.shape[1:] or len(classes) != len(masks):
        raise ExplanationError(
            "TARGET_MASK",
            f"expected a class per lesion and masks {tuple(volume.shape[1:])}, got {len(classes)} classes and masks {tuple(masks.shape)}",
        )
    plan = plan_of(tuple(volume.shape[1:]), task)
    padded, wanted = plan.padded(volume, float(volume.min())), plan.padded(masks.float())
    total = torch.zeros(len(masks), *plan.extent)
    flips = flips_of(task)
    batches = _batches(plan, wanted, only)
    expect_windows(len(batches) * len(flips))
    for batch in batches:
        touched, weights = batch.touched, torch.stack(batch.weights)
        images = torch.stack([padded[(slice(None), *place)] for place in batch.places])
        for axes in flips:
            mirrored = tuple(axis + 2 for axis in axes)
            targets = [
                LesionMargin(weights[:, index].flip(tuple(axis + 1 for axis in axes)) / len(flips), classes[index]) for index in touched
            ]
            maps = attribute(
                model,
                images.flip(mirrored),
                MultiTarget(tuple(targets)),
                explainer=method.explainer,
                options=method.options,
                seed=method.seed,
            )
            for place, found in zip(batch.places, maps.flip(mirrored).cpu(), strict=True):
                for index, own in zip(touched, found, strict=True):
                    total[index][place] += own
    inside = tuple(slice(begin, begin + size) for begin, size in zip(plan.begin, volume.shape[1:], strict=True))
    return total[(slice(None), *inside)]


@dataclass(frozen=True)
class _Batch:
    """Windows that are explained in one pass: which lesions they have a say in, where they lie, and the weights [lesion, *window] of each."""

    touched: tuple[int, ...]
    places: list[tuple[slice, ...]]
    weights: list[Tensor]


def _batches(plan: Plan, wanted: Tensor, only: Collection[int] | None) -> list[_Batch]:
    """Return the windows that have a say in a lesion, in passes.

    Windows of one lesion go several at a time: torch convolves a single small volume by a routine that takes two to three times as long
    (2.13, CPU). Those of several lesions go alone, where gradients of lesions that lie apart share a backward pass.
    """
    batches: list[_Batch] = []
    open_batches: dict[tuple[int, ...], _Batch] = {}
    for number, (place, share) in enumerate(zip(plan.places, plan.shares, strict=True)):
        if only is not None and number not in only:
            continue
        weights = wanted[(slice(None), *place)] * share
        touched = tuple(index for index in range(len(weights)) if bool(weights[index].any()))
        if not touched:
            continue
        batch = open_batches.get(touched)
        if batch is None or len(batch.places) >= (WINDOWS_AT_ONCE if len(touched) == 1 else 1):
            batch = open_batches[touched] = _Batch(touched, [], [])
            batches.append(batch)
        batch.places.append(place)
        batch.weights.append(weights)
    return batches


def windows_of(shape: Sequence[int], task: Task, mask: Tensor) -> tuple[int, ...]:
    """Return the places in the plan of the windows that have a say in a lesion, [*space], those that hold most of it first."""
    plan = plan_of(shape, task)
    wanted = plan.padded(mask.float()[None])[0]
    held = [float((wanted[place] * share).sum()) for place, share in zip(plan.places, plan.shares, strict=True)]
    return tuple(sorted((number for number, weight in enumerate(held) if weight > 0), key=lambda number: (-held[number], number)))


def margin_in_windows(model: nn.Module, volume: Tensor, task: Task, mask: Tensor, index: int, only: Collection[int]) -> Tensor:
    """Return the part of a lesion's margin, a float64 scalar, that some windows have a say in; summed over all windows it is the margin itself.

    Args:
        model: segmentation network.
        volume: [channel, *space].
        task: size and overlap of windows, flips that are averaged over.
        mask: the lesion [*space].
        index: its class.
        only: places of the windows in the plan.
    """
    plan = plan_of(tuple(volume.shape[1:]), task)
    padded, wanted = plan.padded(volume, float(volume.min())), plan.padded(mask.float()[None])[0]
    total = torch.zeros((), dtype=torch.float64)
    for number in sorted(only):
        place = plan.places[number]
        logits = predict_logits(model, padded[(slice(None), *place)][None], flips=task.test_time_flips)[0]
        total += ((logits[index] - logits[0]).double() * wanted[place] * plan.shares[number]).sum()
    return total
