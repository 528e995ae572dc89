"""A loss asked on small networks: its value, its gradient, and steps along a direction in the space of the student's weights."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from data_contracts import CatalogueError
from medkd.loss_check.read_loss import LossUnderCheck
from medkd.loss_check.small_networks import Setting, SmallNetwork
from medkd.trace import Sample, forked_rng


@dataclass(frozen=True)
class Case:
    """A loss with the networks and batches that it is tried on: ``sample`` is followed, ``held_out`` is looked at afterwards."""

    loss: LossUnderCheck
    setting: Setting
    teacher: SmallNetwork
    sample: Sample
    held_out: Sample

    @classmethod
    def of(cls, loss: LossUnderCheck, setting: Setting) -> Case:
        """Return the case of a setting."""
        return cls(loss, setting, setting.teacher(), setting.sample(0), setting.sample(1))

    def value(self, student: nn.Module, teacher: nn.Module | None = None, sample: Sample | None = None) -> Tensor:
        """Return the loss, a scalar tensor; terms that draw draw the same every time.

        Raises:
            CatalogueError: ``LOSS_SIGNATURE`` when something else comes back.
        """
        return scalar(self.raw(student, teacher, sample), self.loss.name)

    def raw(self, student: nn.Module, teacher: nn.Module | None = None, sample: Sample | None = None) -> Any:
        """Return whatever the loss returns."""
        with forked_rng(0), torch.enable_grad():
            return self.loss.value(student, teacher or self.teacher, sample or self.sample)

    def gradient(self, student: nn.Module, teacher: nn.Module | None = None, sample: Sample | None = None) -> Tensor:
        """Return the gradient of the loss in the student's weights, flat; zeros where none arrives."""
        return gradient_of(student, lambda: self.value(student, teacher, sample))


def as_number(value: Any) -> float | None:
    """Return a number of Python or numpy, which can carry no gradient; None of anything else."""
    if isinstance(value, numbers.Number | np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        with contextlib.suppress(TypeError, ValueError):  # complex numbers, texts of numpy
            return float(value)  # type: ignore[arg-type]
    return None


def scalar(value: Any, name: str) -> Tensor:
    """Return a value that is a scalar tensor, or refuse it."""
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        got = f"a tensor of shape {tuple(value.shape)} and {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise CatalogueError("LOSS_SIGNATURE", f"expected {name} to return a floating-point scalar tensor, got {got}")
    return value.reshape(())


def gradient_of(student: nn.Module, asked: Callable[[], Tensor]) -> Tensor:
    """Return the gradient of a scalar in a network's weights, flat [weights]; zeros where none arrives."""
    parameters = list(student.parameters())
    value = asked()
    if not value.requires_grad:
        return torch.zeros(sum(p.numel() for p in parameters))
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.detach().float().reshape(-1) for p, g in zip(parameters, found, strict=True)]
    )


def weights_of(student: nn.Module) -> Tensor:
    """Return a network's weights, flat."""
    return torch.cat([p.detach().reshape(-1) for p in student.parameters()])


def set_weights(student: nn.Module, flat: Tensor) -> None:
    """Put flat weights into a network."""
    begin = 0
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.copy_(flat[begin : begin + parameter.numel()].view_as(parameter))
            begin += parameter.numel()


def follow(student: nn.Module, direction: Callable[[], Tensor], *, steps: int, length: float) -> None:
    """Go down along a direction, a step at a time, each of the same length relative to the norm of the weights: what differs is where to.

    Args:
        student: moved in place.
        direction: the gradient to go against, asked anew at every step; no step where it is zero or not finite.
        steps: how many.
        length: of a step, relative to the norm of the weights at the beginning.
    """
    norm = weights_of(student).norm()
    for _ in range(steps):
        against = direction()
        size = against.norm()
        if not bool(size.isfinite()) or float(size) == 0:
            return
        set_weights(student, weights_of(student) - against / size * length * norm)
