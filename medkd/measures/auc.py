"""Area under the ROC curve."""

from __future__ import annotations

import torch
from torch import Tensor

KIND, LEVEL = "classification", "cohort"
HIGHER_IS_BETTER, RANGE, UNIT = True, (0.0, 1.0), ""
SOURCE = "Hanley and McNeil 1982; scikit-learn roc_auc_score"
EMPTY = "NaN when only one class occurs"


def auc(prediction: Tensor, reference: Tensor, *, spacing_mm: tuple[float, ...] | None = None) -> Tensor:
    """Return the probability that a positive case scores above a negative one (ties count half), as a 0-d tensor.

    Args:
        prediction: scores [n], higher means class 1.
        reference: labels [n] in {0, 1}.
        spacing_mm: not used.
    """
    from sklearn.metrics import roc_auc_score  # scikit-learn takes two seconds to import: only who asks pays

    del spacing_mm
    if len(reference.unique()) < 2:
        return torch.tensor(float("nan"))
    return torch.tensor(roc_auc_score(reference.cpu().numpy(), prediction.double().cpu().numpy()))
