"""From noise to pictures that a teacher takes for its own cases (DeepInversion, Yin et al. 2020, 1912.08795)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import DataError, SynthesisConfig
from medkd.seeds import derive_seed
from medkd.synthesis.running_statistics import StatisticsDistance, require_statistics
from medkd.trace import forked_rng, frozen, trace


def noise_pictures(count: int, size: tuple[int, ...], seed: int) -> Tensor:
    """Return what synthesis begins with, float32 [count, 1, *size]: normal noise of deviation 1/2, within [-1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    return (0.5 * torch.randn(count, 1, *size, generator=draw)).clamp(-1, 1)


def invert(
    teacher: nn.Module, start: Tensor, targets: Tensor, config: SynthesisConfig, *, seed: int = 0
) -> tuple[Tensor, dict[str, float]]:
    """Return pictures that a teacher answers with given classes, and how far that went.

    Args:
        teacher: network that classifies, with batch normalisations; nothing of it changes.
        start: pictures to begin with, [n, 1, *space] in [-1, 1].
        targets: class of each, int64 [n].
        config: how long and how; batches are of ``config.batch_size``, in order.
        seed: of rolls and mirrorings.

    Returns:
        Pictures float32 [n, 1, *space] in [-1, 1], and means over batches of the last step: ``cross_entropy`` and ``statistics``.

    Raises:
        KnowledgeError: ``STATISTICS_MISSING`` of a teacher without running statistics.
        DataError: ``SYNTHESIS_NOT_FINITE``.
    """
    require_statistics(teacher, type(teacher).__name__)
    made, figures = [], list[dict[str, float]]()
    with frozen(teacher), forked_rng(derive_seed("synthesis", seed)):
        for first in range(0, len(start), config.batch_size):
            rows = slice(first, first + config.batch_size)
            pictures, last = _inverted(teacher, start[rows], targets[rows], config)
            made.append(pictures)
            figures.append(last)
    return torch.cat(made), {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def _inverted(teacher: nn.Module, start: Tensor, targets: Tensor, config: SynthesisConfig) -> tuple[Tensor, dict[str, float]]:
    pictures = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([pictures], lr=config.learning_rate, betas=(0.5, 0.9))
    distance = StatisticsDistance(teacher)
    last: dict[str, float] = {}
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        seen = _moved(pictures, config.shift)
        answers = trace(teacher, seen, on_input=distance.watcher).logits
        entropy, statistics = functional.cross_entropy(answers, targets), distance.taken()
        loss = entropy + config.statistics * statistics + config.total_variation * variation(pictures)
        loss = loss + config.norm * pictures.square().mean()
        if not bool(torch.isfinite(loss)):
            raise DataError(
                "SYNTHESIS_NOT_FINITE",
                f"expected a finite loss while cases are synthesised, got {float(loss)} at step {step + 1}: lower student.synthesis.learning_rate",
            )
        (pictures.grad,) = torch.autograd.grad(loss, [pictures])
        optimiser.step()
        with torch.no_grad():
            pictures.clamp_(-1, 1)
        last = {"cross_entropy": float(entropy.detach()), "statistics": float(statistics.detach())}
    return pictures.detach(), last


def _moved(pictures: Tensor, shift: int) -> Tensor:
    """Return a batch rolled and mirrored at random: what one place of the grid alone explains does not last."""
    axes = tuple(range(2, pictures.ndim))
    steps = tuple(int(step) for step in torch.randint(-shift, shift + 1, (len(axes),)))
    moved = pictures.roll(steps, axes)
    return moved.flip(-1) if bool(torch.rand(()) < 0.5) else moved


def variation(pictures: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels along all axes of [n, channel, *space], a scalar."""
    return torch.stack([pictures.diff(dim=axis).square().mean() for axis in range(2, pictures.ndim)]).sum()
