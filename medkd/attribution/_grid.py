"""From a layer's grid to the image's, shared by the class-activation family."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from data_contracts import ExplanationError

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize_map(attribution: Tensor, shape: Sequence[int]) -> Tensor:
    """Interpolate a map [batch, *grid] linearly to [batch, *shape]; nothing is normalised or clipped."""
    if tuple(attribution.shape[1:]) == tuple(shape):
        return attribution
    mode = _MODES[len(shape)]
    return functional.interpolate(attribution[:, None], size=tuple(shape), mode=mode, align_corners=False)[:, 0]


def require_finite(attribution: Tensor, explainer: str) -> Tensor:
    """Return the map, or raise ``MAP_NOT_FINITE`` when it holds NaN or infinity."""
    if not bool(attribution.isfinite().all()):
        raise ExplanationError(
            "MAP_NOT_FINITE", f"expected a finite map from {explainer}, got NaN or infinity: look at the image and the weights"
        )
    return attribution
