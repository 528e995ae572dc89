"""What readers' feedback says of the cases of an opened cohort, beside their images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import DirectedRegion
from medkd.trace import Sample
from medkd.volumes.voxel_masks import voxels_of


@dataclass(frozen=True)
class CaseDirectives:
    """Directives of n cases, in the order of their cohort.

    Attributes:
        weights: float32 [n], of each case in terms that read labels or the teacher's answers.
        explanation_weights: float32 [n], in terms that copy the teacher's explanations.
        forbidden: percent to which attribution is forbidden, uint8 on the grid of each case's image; None where it is nowhere.
    """

    weights: Tensor
    explanation_weights: Tensor
    forbidden: tuple[Tensor | None, ...]

    @classmethod
    def none(cls, cases: int) -> CaseDirectives:
        """Return those of cases of which nobody said anything."""
        return cls(torch.ones(cases), torch.ones(cases), (None,) * cases)

    def select(self, rows: Tensor) -> CaseDirectives:
        """Return those of the given rows."""
        return CaseDirectives(self.weights[rows], self.explanation_weights[rows], tuple(self.forbidden[row] for row in rows.tolist()))

    def joined(self, other: CaseDirectives) -> CaseDirectives:
        """Return those of two cohorts as one."""
        return CaseDirectives(
            torch.cat([self.weights, other.weights]),
            torch.cat([self.explanation_weights, other.explanation_weights]),
            self.forbidden + other.forbidden,
        )

    def attach(self, sample: Sample, rows: Tensor, forbidden: list[Tensor | None]) -> Sample:
        """Return a batch with the directives of its rows.

        Args:
            sample: the batch.
            rows: of its cases.
            forbidden: of each, on the grid of the batch's images.
        """
        image = sample.image
        space = tuple(image.shape[2:])
        stacked = torch.stack([torch.zeros(space, dtype=torch.uint8) if one is None else one for one in forbidden])
        return replace(
            sample,
            weights=self.weights[rows].to(image.device),
            explanation_weights=self.explanation_weights[rows].to(image.device),
            forbidden=stacked.to(image.device),
        )


def joined_directives(first: CaseDirectives | None, second: CaseDirectives | None, cases: tuple[int, int]) -> CaseDirectives | None:
    """Return the directives of two cohorts of so many cases as one; None where neither has any."""
    if first is None and second is None:
        return None
    return (first or CaseDirectives.none(cases[0])).joined(second or CaseDirectives.none(cases[1]))


def forbidden_percent(regions: tuple[DirectedRegion, ...]) -> NDArray[np.uint8] | None:
    """Return to how many percent attribution is forbidden at each voxel, uint8 [slice, row, column]; None where it is nowhere.

    Where regions are allowed, all outside of their union is forbidden, to the largest factor among them; a voxel of a forbidden region is so
    within them too. Regions must be of one shape.
    """
    if not regions:
        return None
    percent = np.zeros(regions[0].voxels.shape, dtype=np.uint8)
    allowed = [one for one in regions if one.meaning == "allowed"]
    if allowed:
        inside = np.logical_or.reduce([voxels_of(one.voxels) for one in allowed])
        percent[~inside] = round(100 * max(one.factor for one in allowed))
    for one in regions:
        if one.meaning == "forbidden":
            voxels = voxels_of(one.voxels)
            percent[voxels] = np.maximum(percent[voxels], round(100 * one.factor))
    return percent if percent.any() else None
