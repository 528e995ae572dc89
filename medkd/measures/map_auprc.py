"""Does the map rank the lesion's voxels above all others? Lesions are rare, so precision and recall."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._order import order_of

KIND, LEVEL = "localisation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "utility of saliency maps, Arun et al. 2021 (2008.02766); average precision without interpolation"
EMPTY = "NaN for an empty mask"


def map_auprc(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the precision averaged over the steps in recall as the map's threshold falls, per case, [n].

    Chance is the mask's share of the image. Voxels of equal value enter together.

    Args:
        prediction: map [n, *space]; its sign counts.
        reference: mask [n, *space].
        spacing_mm: not used.
    """
    del spacing_mm
    order, inside = order_of(prediction), (reference > 0).flatten(1)
    hits = inside.gather(1, order.places).cumsum(1)
    size = inside.sum(1)
    last = torch.ones_like(inside)
    last[:, :-1] = order.values[:, 1:] != order.values[:, :-1]
    found = torch.full((len(inside),), float("nan"), dtype=torch.double)
    for case in range(len(inside)):
        if int(size[case]):
            ends = last[case].nonzero()[:, 0]
            recalled = hits[case, ends].double()
            gained = torch.diff(recalled, prepend=torch.zeros(1, dtype=torch.double, device=recalled.device))
            found[case] = (gained * recalled / (ends + 1)).sum() / size[case]
    return found
