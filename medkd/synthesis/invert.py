"""From noise to pictures that a teacher takes for its own cases (DeepInversion, Yin et al. 2020, 1912.08795)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from data_contracts import DataError, SynthesisConfig
from medkd.seeds import derive_seed
from medkd.synthesis.running_statistics import StatisticsDistance, require_statistics
from medkd.trace import forked_rng, frozen, trace

#: Each level of a picture halves the grid of the one before.
LEVELS = 4


def noise_levels(count: int, size: tuple[int, ...], seed: int) -> tuple[Tensor, ...]:
    """Return what synthesis begins with: normal noise on the grid of the pictures and on coarser ones, float32 [count, 1, *grid] each."""
    draw = torch.Generator().manual_seed(seed)
    grids = [tuple(max(1, extent >> level) for extent in size) for level in range(LEVELS)]
    return tuple(0.4 * torch.randn(count, 1, *grid, generator=draw) for grid in grids)


def pictures_of(levels: Sequence[Tensor]) -> Tensor:
    """Return the pictures of levels, [n, 1, *space] within [-1, 1]: their sum on the finest grid, squashed.

    Steps of equal length on every level move what is coarse as fast as what is fine: on the finest grid alone a network's
    statistics are met by a texture, and no shape ever arises.
    """
    space, mode = levels[0].shape[2:], "bilinear" if levels[0].ndim == 4 else "trilinear"
    grown = [levels[0], *(functional.interpolate(level, size=space, mode=mode, align_corners=False) for level in levels[1:])]
    return torch.stack(grown).sum(0).tanh()


def invert(
    teacher: nn.Module, start: Sequence[Tensor], targets: Tensor, config: SynthesisConfig, *, seed: int = 0
) -> tuple[Tensor, dict[str, float]]:
    """Return pictures that a teacher answers with given classes, and how far that went.

    Args:
        teacher: network that classifies, with batch normalisations; nothing of it changes.
        start: levels to begin with (:func:`noise_levels`).
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
        for first in range(0, len(targets), config.batch_size):
            rows = slice(first, first + config.batch_size)
            pictures, last = _inverted(teacher, [level[rows] for level in start], targets[rows], config)
            made.append(pictures)
            figures.append(last)
    return torch.cat(made), {name: sum(one[name] for one in figures) / len(figures) for name in figures[0]}


def _inverted(teacher: nn.Module, start: Sequence[Tensor], targets: Tensor, config: SynthesisConfig) -> tuple[Tensor, dict[str, float]]:
    levels = [level.clone().requires_grad_() for level in start]
    optimiser = torch.optim.Adam(levels, lr=config.learning_rate, betas=(0.5, 0.9))
    distance = StatisticsDistance(teacher)
    last: dict[str, float] = {}
    for step in range(config.steps):
        optimiser.param_groups[0]["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        pictures = pictures_of(levels)
        seen = _moved(pictures, config)
        answers = trace(teacher, seen, on_input=distance.watcher).logits
        entropy, statistics = functional.cross_entropy(answers, targets), distance.taken()
        loss = entropy + config.statistics * statistics + config.total_variation * variation(pictures)
        loss = loss + config.norm * pictures.square().mean()
        if not bool(torch.isfinite(loss)):
            raise DataError(
                "SYNTHESIS_NOT_FINITE",
                f"expected a finite loss while cases are synthesised, got {float(loss)} at step {step + 1}: lower student.synthesis.learning_rate",
            )
        for level, slope in zip(levels, torch.autograd.grad(loss, levels), strict=True):
            level.grad = slope
        optimiser.step()
        last = {"cross_entropy": float(entropy.detach()), "statistics": float(statistics.detach())}
    return pictures_of(levels).detach(), last


def _moved(pictures: Tensor, config: SynthesisConfig) -> Tensor:
    """Return a batch rolled and mirrored at random: what one place of the grid alone explains does not last."""
    axes = tuple(range(2, pictures.ndim))
    steps = tuple(int(step) for step in torch.randint(-config.shift, config.shift + 1, (len(axes),)))
    moved = pictures.roll(steps, axes)
    return moved.flip(-1) if config.mirror and bool(torch.rand(()) < 0.5) else moved


def variation(pictures: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels along all axes of [n, channel, *space], a scalar."""
    return torch.stack([pictures.diff(dim=axis).square().mean() for axis in range(2, pictures.ndim)]).sum()
