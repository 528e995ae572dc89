"""What a network keeps of the images it was trained on: the mean and variance of every channel that its batch normalisations met."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from data_contracts import KnowledgeError


def normalisations(network: nn.Module) -> tuple[nn.Module, ...]:
    """Return the batch normalisations of a network that keep running statistics and have met a batch, shallow to deep."""
    return tuple(
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm)
        and module.running_mean is not None
        and (module.num_batches_tracked is None or bool(module.num_batches_tracked > 0))
    )


def require_statistics(network: nn.Module, name: str) -> None:
    """Refuse a network that keeps nothing to make pictures from; ``name`` is the network's, for the sentence.

    Raises:
        KnowledgeError: ``STATISTICS_MISSING``.
    """
    if not normalisations(network):
        raise KnowledgeError(
            "STATISTICS_MISSING",
            f"expected a teacher with running statistics of batch normalisation to synthesise cases from, {name} keeps none (instance, group and layer "
            "normalisation do not): take a teacher with batch normalisation, such as resnet, densenet or unet, or let the arm see real cases",
        )


class StatisticsDistance:
    """How far the statistics of a batch are from those that a network kept, gathered while the batch passes through.

    A distance of a layer is the mean over channels of (mean - kept mean)^2 / kept variance + (log variance - log kept variance)^2 / 4: both are free
    of the layer's scale, so that no layer drowns the others (DeepInversion takes norms of the plain differences).

    Args:
        network: with batch normalisations; their statistics are read and never changed.
    """

    def __init__(self, network: nn.Module) -> None:
        self._kept = {id(module) for module in normalisations(network)}
        self._distances: list[Tensor] = []

    @property
    def watcher(self) -> Callable[[nn.Module, Tensor], None]:
        """Return what :func:`medkd.trace.trace` calls with each module and what it is handed."""
        return self._look

    def _look(self, module: nn.Module, given: Tensor) -> None:
        if id(module) not in self._kept:
            return
        running_mean, running_var = module.get_buffer("running_mean"), module.get_buffer("running_var")
        axes = (0, *range(2, given.ndim))
        variance = running_var + module.eps  # type: ignore[operator]
        mean_gap = (given.mean(axes) - running_mean).square() / variance
        spread_gap = (given.var(axes, unbiased=False) + module.eps).log() - variance.log()  # type: ignore[operator]
        self._distances.append((mean_gap + spread_gap.square() / 4).mean())

    def taken(self) -> Tensor:
        """Return the mean over the layers that the last batch passed (a scalar), and forget them."""
        found, self._distances = torch.stack(self._distances).mean(), []
        return found
