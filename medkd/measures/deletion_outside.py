"""Does the answer lean on what lies outside the lesion, where the map says so?"""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._perturb import Perturbation, area, curve

KIND, LEVEL = "faithfulness", "case"
HIGHER_IS_BETTER, RANGE, UNIT = False, (0.0, 1.0), ""
SOURCE = "deletion curve, Petsiuk et al. 2018 (1806.07421), the lesion left as it is"
EMPTY = "NaN for an empty mask or one that holds every voxel"


def deletion_outside(prediction: Tensor, reference: Perturbation, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the area under the explained score while voxels outside the lesion are deleted, highest ranked first, per case, [n].

    A segmentation falls when its own lesion is hidden, whatever the map: here only the surroundings are. Low: the map finds the context that
    the answer needs. High: there is none, or the map misses it; ``deletion_outside`` of a random map tells the two apart.

    Args:
        prediction: map [n, *space].
        reference: network, image, baseline and the lesion's mask.
        spacing_mm: not used.
    """
    del spacing_mm
    if reference.mask is None:
        return torch.full((len(prediction),), float("nan"), dtype=torch.double)
    inside = (reference.mask > 0).to(prediction.device)
    kept = Perturbation(
        reference.score, reference.image, torch.where(inside[:, None], reference.image, reference.baseline), points=reference.points
    )
    # Least of all: what is in the lesion is reached last and then stays as it is.
    found = area(curve(prediction.masked_fill(inside, float(prediction.min()) - 1.0), kept, insert=False))
    size = inside.flatten(1).sum(1).to(found.device)
    return torch.where((size > 0) & (size < inside[0].numel()), found, torch.full_like(found, float("nan")))
