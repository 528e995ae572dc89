"""What a block of the encoder attributes to an answer: the map that terms at the encoder compare."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from data_contracts import KnowledgeError
from medkd.attribution._grid import averaged, on_grid
from medkd.attribution.grad_cam import grad_cam
from medkd.distillation._reduce import pooled
from medkd.knowledge.interface import Knowledge
from medkd.targets import LesionMargin, Target
from medkd.trace import Trace

#: How a block is asked: by the gradient of the answer (double backward), or by how its features differ between lesion and rest (closed form).
Method = Literal["grad_cam", "activation"]
_TINY = 1e-6


def student_map(student: Trace, target: Target, method: Method, layer: str, grid: int) -> Tensor:
    """Return the student's map of a target at a block, with its graph, [batch, cells].

    Args:
        student: trace with the block tapped and a graph.
        target: what is explained, its mask (segmentation) on the image's grid.
        method: how the block is asked.
        layer: the block, or ``encoder``.
        grid: cells along each axis at most.
    """
    if method == "grad_cam":
        return pooled(grad_cam(student, target, differentiable=True, layer=layer, cells=grid), grid)
    return _of_features(student.feature(student.layer_map.resolve(layer)), target, grid)


def teacher_map(teacher: Knowledge, target: Target, method: Method, layer: str, grid: int) -> Tensor:
    """Return the teacher's, without a graph; arguments as in :func:`student_map`."""
    if method == "grad_cam":
        return pooled(teacher.attribution("grad_cam", target, layer=layer, cells=grid).float(), grid)
    return _of_features(teacher.features(layer), target, grid)


def _of_features(features: Tensor, target: Target, grid: int) -> Tensor:
    """Return the closed form, [batch, cells]: on the image's grid and from there on the cells, so that blocks of any grid compare."""
    mask = _mask_of(target)
    return on_grid(activation_difference(features.float(), mask), mask.shape[1:], grid).flatten(1)


def activation_difference(features: Tensor, mask: Tensor) -> Tensor:
    """Return how far each cell's features lie on the lesion's side, [batch, *grid]: sum_f w_f (A_f - m_f).

    w is the mean of the features inside the mask less their mean outside, m the middle of the two means: the linear discriminant whose two
    classes have one covariance, the identity. It is what a 1x1 head at this block would read, without a backward pass through what lies behind it.
    A cell that the mask covers in part counts in part on both sides.

    Args:
        features: [batch, features, *grid].
        mask: [batch, *space], the grid or finer.
    """
    # Behind a pool that may be coarser than one cell of the lesion: shares, not a threshold.
    inside = averaged(mask[:, None].float(), list(features.shape[2:])).flatten(2)
    flat = features.flatten(2)
    within, without = (_mean(flat, share) for share in (inside, 1 - inside))
    direction = (within - without)[:, None]
    with torch.autocast(features.device.type, enabled=False):
        found = torch.bmm(direction, flat - ((within + without) / 2)[:, :, None])
    return found.reshape(len(features), *features.shape[2:])


def _mean(flat: Tensor, share: Tensor) -> Tensor:
    """Return the mean of features [batch, features, cells] weighted by shares [batch, 1, cells]: [batch, features]."""
    return (flat * share).sum(2) / share.sum(2).clamp_min(_TINY)


def _mask_of(target: Target) -> Tensor:
    if not isinstance(target, LesionMargin):
        raise KnowledgeError(
            "ENCODER_METHOD",
            f"expected a lesion for the method 'activation', got a {type(target).__name__}: classifications need method: grad_cam",
        )
    return target.mask
