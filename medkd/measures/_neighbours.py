"""Maps of images near an image, shared by the measures of robustness."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Neighbours:
    """What a robustness measure is told.

    Attributes:
        maps: of the changed images, [n, draws, *space].
        distances: L2 norms of the changes in the network's input units, [n, draws].
    """

    maps: Tensor
    distances: Tensor

    def moved(self, attribution: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far the map moved with each change, float64 [n, draws], and the norm of the map itself, [n, 1]."""
        own = attribution.detach().double().flatten(1)
        return (self.maps.detach().double().flatten(2) - own[:, None]).norm(dim=2), own.norm(dim=1, keepdim=True)
