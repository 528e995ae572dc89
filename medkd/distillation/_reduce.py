"""The one reduction rule, and what several terms need of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import KnowledgeError
from medkd.attribution._grid import resize_to_cells
from medkd.distillation._together import mean_over_processes
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Number, Scalar

_TINY = 1e-8
_LEAST_ENERGY = 1e-12


def over_voxels(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the weighted mean over everything after the batch: [batch, *space] -> [batch]."""
    flat = values.flatten(1)
    if weights is None:
        return flat.mean(1)
    share = weights.to(flat.dtype).flatten(1)
    return (flat * share).sum(1) / share.sum(1).clamp_min(_TINY)


def divergence(teacher: Tensor, student: Tensor, temperature: Number = 1.0, *, dim: int = 1) -> Tensor:
    """Return KL(softmax(teacher / T) || softmax(student / T)) of float32 logits, summed over ``dim``."""
    log_teacher, log_student = (
        functional.log_softmax(teacher / temperature, dim=dim),
        functional.log_softmax(student / temperature, dim=dim),
    )
    return log_divergence(log_teacher, log_student, dim=dim)


def log_divergence(log_teacher: Tensor, log_student: Tensor, *, dim: int = 1) -> Tensor:
    """Return KL(teacher || student) of log-probabilities, summed over ``dim``."""
    # torch takes the student first: its input is what is judged, its target the distribution that is right.
    return functional.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(dim)


def tempered(values: Tensor, sample: Sample, temperature: Number, weights: Tensor | None = None) -> Scalar:
    """Return T^2 times the mean over cases of the weighted mean over voxels: values [batch] or [batch, *space].

    The factor T^2 keeps gradients comparable over temperatures. Weights of voxels are the valid mask where none are given.
    """
    if values.ndim > 1:
        values = over_voxels(values, sample.valid_mask if weights is None else weights)
    return temperature**2 * over_batch(values, sample)


def over_batch(values: Tensor, sample: Sample, present: Tensor | None = None) -> Tensor:
    """Return the weighted mean over the cases that are present; a differentiable zero when none is.

    Where a batch is spread over processes the weights are those of all of it, divided by their number: the mean of the processes' values,
    which is what their averaged gradients belong to, is then the value of the whole batch.
    """
    weights = torch.ones_like(values) if sample.weights is None else sample.weights.to(values)
    if present is not None:
        weights = weights * present.to(values)
        # Chosen, not multiplied: a NaN of a case that is left out would stay one times zero.
        values = torch.where(present.bool(), values, torch.zeros_like(values))
    # The denominator is shared and without a gradient: what differs between processes is the numerator alone.
    return (values * weights).sum() / mean_over_processes(weights.sum()).clamp_min(_TINY)


def require_teacher(teacher: Knowledge | None, loss: str) -> Knowledge:
    """Return the teacher, or say which loss needs one."""
    if teacher is None:
        raise KnowledgeError("TEACHER_MISSING", f"expected a teacher for the loss {loss!r}, this arm has none")
    return teacher


def layer_pair(
    student: Trace, teacher: Knowledge | None, loss: str, feature_layers: tuple[str, str], projector: nn.Module | None = None
) -> tuple[Tensor, Tensor]:
    """Return float32 features of both, [batch, features, *grid], the student's projected where there is a projector.

    Args:
        student: trace with the layer tapped.
        teacher: asked for its layer.
        loss: name, for errors.
        feature_layers: the student's layer and the teacher's; ``last`` is the layer that class maps are read from, ``encoder`` the deepest encoder block.
        projector: 1x1 convolution from the student's channels to the teacher's.
    """
    student_layer, teacher_layer = feature_layers
    student_features = student.feature(student.layer_map.resolve(student_layer)).float()
    teacher_features = require_teacher(teacher, loss).features(teacher_layer).float()
    return (student_features if projector is None else projector(student_features).float()), teacher_features


def matched_pair(
    student: Trace, teacher: Knowledge | None, loss: str, feature_layers: tuple[str, str], projector: nn.Module | None
) -> tuple[Tensor, Tensor]:
    """Return features as :func:`layer_pair`, of as many channels each.

    Raises:
        KnowledgeError: ``HINT_CHANNELS`` when the numbers of channels differ and there is no projector.
    """
    student_features, teacher_features = layer_pair(student, teacher, loss, feature_layers, projector)
    if student_features.shape[1] != teacher_features.shape[1]:
        raise KnowledgeError(
            "HINT_CHANNELS",
            f"expected {teacher_features.shape[1]} channels as the teacher's features have, got {student_features.shape[1]} and no projector",
        )
    return student_features, teacher_features


def common_grid(first: Tensor, second: Tensor, grid: int) -> list[int]:
    """Return how many cells both features [batch, features, *grid] can be averaged to: at most ``grid`` along each axis."""
    return [min(grid, a, b) for a, b in zip(first.shape[2:], second.shape[2:], strict=True)]


def grown(inside: Tensor, reach: int) -> Tensor:
    """Grow a region, bool [batch, *space], by ``reach`` voxels along each axis: a box of shifts, axis after axis."""
    for axis in range(1, inside.ndim):
        # A box is the product of its axes, so that axis after axis costs the sum of the reaches and not their product.
        wide, extent = inside.clone(), inside.shape[axis]
        for step in range(1, min(reach, extent - 1) + 1):
            wide.narrow(axis, step, extent - step).logical_or_(inside.narrow(axis, 0, extent - step))
            wide.narrow(axis, 0, extent - step).logical_or_(inside.narrow(axis, step, extent - step))
        inside = wide
    return inside


def centred(logits: Tensor) -> Tensor:
    """Return logits with mean zero over the classes: a constant added to all classes of a voxel is what no softmax sees."""
    return logits - logits.mean(1, keepdim=True)


def pooled(attribution: Tensor, grid: int) -> Tensor:
    """Average a map [batch, *space] down to ``grid`` cells along each axis (never up) and flatten it to [batch, cells]."""
    return resize_to_cells(attribution, attribution.shape[1:], grid).flatten(1)


def unit_norm(rows: Tensor) -> Tensor:
    """Scale each row to Euclidean norm one (rows of zeros stay zero, with a finite gradient)."""
    # Within the root: the slope of a norm at zero is NaN, and a map of zeros is what training begins with.
    return rows / (rows.square().sum(1, keepdim=True) + _TINY**2).sqrt()


def squared_distance(student_map: Tensor, teacher_map: Tensor, present: Tensor) -> Tensor:
    """Return the squared distance of each row, [batch, cells] -> [batch], in units of the teacher's mean squared norm over the rows that count."""
    energy = teacher_map.square().sum(1) * present
    scale = mean_over_processes(energy.sum()) / mean_over_processes(present.sum().float()).clamp_min(_LEAST_ENERGY)
    return (student_map - teacher_map).square().sum(1) / scale.clamp_min(_LEAST_ENERGY)
