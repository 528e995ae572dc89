"""Lesion-wise F1: lesions are counted, however large they are."""

from __future__ import annotations

import torch
from torch import Tensor

from medkd.measures._components import components, overlaps
from medkd.measures._surface import per_case

KIND, LEVEL = "segmentation", "case"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Maier-Hein et al. 2024 (Metrics Reloaded): one-to-one matching by intersection over union, then F1"
EMPTY = "both empty: NaN (nothing to find, nothing found); one empty: 0"


def lesion_f1(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None, min_overlap: float = 0.1) -> Tensor:
    """Return 2 TP / (2 TP + FP + FN) over the lesions of each case, float64 [n].

    Lesions are connected components. They are matched one to one so that the summed intersection over union is largest; a pair
    counts when it reaches ``min_overlap``.

    Args:
        prediction: mask [n, *space], non-zero inside.
        reference: mask of the same shape.
        spacing_mm: not used: lesions are counted.
        min_overlap: smallest intersection over union that counts as found.
    """
    from scipy.optimize import linear_sum_assignment  # half a second of imports: only who asks pays

    del spacing_mm

    def measure(one: Tensor, other: Tensor) -> float:
        """Return the score of one case."""
        (found, n_found), (wanted, n_wanted) = (components(mask.cpu().numpy() > 0) for mask in (one, other))
        if n_found + n_wanted == 0:
            return float("nan")
        shared = overlaps(found, wanted, (n_found, n_wanted))
        shared[shared < min_overlap] = 0.0
        pairs = linear_sum_assignment(shared, maximize=True)
        hits = int((shared[pairs] > 0).sum())
        return 2 * hits / (n_found + n_wanted)

    return per_case(prediction, reference, measure) if len(prediction) else torch.zeros(0, dtype=torch.double)
