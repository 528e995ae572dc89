"""Area under the precision-recall curve."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "classification", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "average precision (no interpolation): Davis and Goadrich 2006; scikit-learn average_precision_score"
EMPTY = "NaN when only one class occurs"


def auprc(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the precision averaged over the steps in recall as the threshold falls, a 0-d tensor. Chance is the share of class 1.

    Args:
        prediction: scores [n], higher means class 1.
        reference: labels [n] in {0, 1}.
        spacing_mm: not used.
    """
    from sklearn.metrics import average_precision_score  # scikit-learn takes two seconds to import: only who asks pays

    del spacing_mm
    if len(reference.unique()) < 2:
        return torch.tensor(float("nan"))
    return torch.tensor(average_precision_score(reference.cpu().numpy(), prediction.double().cpu().numpy()))
