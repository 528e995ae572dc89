"""Maps of what was segmented, on the study's own voxels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor, nn

from medkd.attribution._attribute import attribute
from medkd.attribution._budget import expect_windows
from medkd.explanation.explain_windows import explain_volume, flips_of
from medkd.explanation.subjects import Method
from medkd.inference.segment import PreparedStudy
from medkd.targets import LesionMargin, MultiTarget


def explain_lesions(
    model: nn.Module,
    study: PreparedStudy,
    inside: Tensor,
    classes: Sequence[int],
    method: Method,
    *,
    only: Collection[int] | None = None,
) -> Tensor:
    """Explain the margins of frozen lesions in one pass, exactly as the study was segmented: windows, flips, slices.

    Args:
        model: segmentation network.
        study: the study.
        inside: uint8 [lesion, *network space]; a lesion without a voxel has a map of zeros.
        classes: class of each lesion.
        method: the explainer.
        only: windows of a volume that are asked (:func:`explain_volume`); None asks all.

    Returns:
        Signed maps float32 [lesion, *network space], in logits; :meth:`PreparedStudy.to_study` brings them to the study's voxels.
    """
    found = torch.zeros(inside.shape, dtype=torch.float32)
    seen = [index for index in range(len(inside)) if bool(inside[index].any())]
    if not seen:
        return found
    wanted = [classes[index] for index in seen]
    if study.alignment is not None:
        found[seen] = explain_volume(model, study.image, study.task, inside[seen], wanted, method, only=only)
        return found
    # Pictures are the study's slices: those without a lesion have no say in its margin.
    rows, flips = inside[seen].flatten(2).any(2).any(0).nonzero()[:, 0], flips_of(study.task)
    expect_windows(len(flips))
    for axes in flips:
        mirrored = tuple(axis + 1 for axis in axes)
        masks = [(inside[index][rows].float() / len(flips)).flip(mirrored) for index in seen]
        targets = MultiTarget(tuple(LesionMargin(mask, index) for mask, index in zip(masks, wanted, strict=True)))
        image = study.image[rows].flip(tuple(axis + 2 for axis in axes))
        maps = attribute(model, image, targets, explainer=method.explainer, options=method.options, seed=method.seed)
        for place, index in enumerate(seen):
            found[index, rows] += maps[:, place].flip(mirrored).cpu()
    return found
