"""Where exactly does a map peak? Places in mm, apart from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from medkd.catalogue import EXPLAINERS
from medkd.targets import MultiTarget, Target
from medkd.trace import Trace

RETURNS = "peaks"
SOURCE = "own: local maxima with non-maximum suppression in mm"
SCOPE, ACCESS = "local", "white box"
SIGNED, COMPLETE, ADDITIVE, DIFFERENTIABLE, PASSES_RANDOMISATION = False, False, False, False, True
TASKS = frozenset({"classification", "segmentation"})


@dataclass(frozen=True)
class ResponsePeak:
    """One peak of a map.

    Attributes:
        place: voxel.
        offset_mm: from the centre of the first voxel along each axis, mm (voxels without a spacing).
        value: of the map there.
    """

    place: tuple[int, ...]
    offset_mm: tuple[float, ...]
    value: float


def response_peaks(
    trace: Trace,
    target: Target,
    *,
    explainer: str = "saliency",
    options: dict[str, Any] | None = None,
    spacing_mm: Sequence[float] | None = None,
    most: int = 5,
    separation_mm: float = 5.0,
) -> tuple[tuple[ResponsePeak, ...], ...]:
    """Return the highest peaks of each case's map, highest first.

    Args:
        trace: network and image.
        target: one target.
        explainer: whose map is looked at.
        options: its options.
        spacing_mm: voxel spacing in the order of space.
        most: peaks per case.
        separation_mm: no two peaks lie closer.
    """
    if isinstance(target, MultiTarget):
        raise ValueError(f"expected one target, got {target}: peaks of several maps have no common order")
    maps = EXPLAINERS.bind(explainer, options or {})(trace, target)
    return tuple(peaks_of(one, spacing_mm=spacing_mm, most=most, separation_mm=separation_mm) for one in maps)


def peaks_of(
    attribution: Tensor, *, spacing_mm: Sequence[float] | None = None, most: int = 5, separation_mm: float = 5.0
) -> tuple[ResponsePeak, ...]:
    """Return the highest positive values of one map [*space] that lie apart; fewer than ``most`` where there are no more."""
    step = torch.tensor(tuple(spacing_mm or (1.0,) * attribution.ndim), dtype=torch.double)
    left = attribution.detach().float().cpu().clone()
    reach = (separation_mm / step).floor().long()
    found: list[ResponsePeak] = []
    while len(found) < most and float(left.max()) > 0:
        place = torch.stack(torch.unravel_index(left.argmax(), left.shape))
        here = tuple(place.tolist())
        found.append(ResponsePeak(here, tuple((place * step).tolist()), float(left[here])))
        # Only a box around the peak can lie closer: a study has millions of voxels elsewhere.
        low, high = (place - reach).clamp_min(0), torch.minimum(place + reach + 1, torch.tensor(left.shape))
        axes = torch.meshgrid(
            *((torch.arange(a, b) - at) * size for a, b, at, size in zip(low, high, place, step, strict=True)), indexing="ij"
        )
        box = left[tuple(slice(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True))]
        box[torch.stack(axes).norm(dim=0) < separation_mm] = float("-inf")
    return tuple(found)
