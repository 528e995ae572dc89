"""The report's way into the catalogue: a frozen network, an image, an explainer by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from data_contracts import DataError
from medkd.catalogue import EXPLAINERS
from medkd.targets import Target
from medkd.trace import forked_rng, frozen, layer_map_of, trace_when_read
from medkd.types import AttributionMap, Images


def attribute(
    model: nn.Module, image: Images, target: Target, *, explainer: str, options: Mapping[str, Any] | None = None, seed: int = 0
) -> AttributionMap:
    """Explain a frozen network: the same catalogue function that a loss calls with ``differentiable=True``.

    Args:
        model: network with an anatomy; its mode, flags and gradients are left as they were.
        image: [batch, channel, *space], already windowed.
        target: the explained scalar.
        explainer: name in the catalogue.
        options: its options.
        seed: seed of explainers that draw; the global generator is left as it was.

    Returns:
        Signed map [batch, *space], float32, in units of the target.

    Raises:
        DataError: ``IMAGE_NOT_FINITE`` when the image holds NaN or infinity.
    """
    if not bool(image.isfinite().all()):
        bad = int((~image.isfinite()).sum())
        raise DataError(
            "IMAGE_NOT_FINITE", f"expected a finite image to explain, got {bad} of {image.numel()} values that are NaN or infinite"
        )
    method = EXPLAINERS.bind(explainer, options or {})
    with frozen(model), forked_rng(seed):
        attribution: AttributionMap = method(trace_when_read(model, image, layers=(layer_map_of(model).cam_layer,)), target)
    return attribution.detach()
