"""Maps of a classifier's answers, on the study's own voxels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medkd.attribution._attribute import attribute
from medkd.attribution._budget import expect_windows
from medkd.cohorts.volume_cohort import corner_of, cut
from medkd.explanation.explain_windows import flips_of
from medkd.explanation.subjects import Method
from medkd.inference.classify import pictures_of
from medkd.inference.segment import PreparedStudy
from medkd.targets import Target


def explain_classes(model: nn.Module, study: PreparedStudy, rows: Tensor, target: Target, method: Method) -> Tensor:
    """Explain a classifier's answers about some pictures of a study.

    Args:
        model: classifier.
        study: the study.
        rows: int64 [n], which of its pictures; of a volume the only one, 0.
        target: of those pictures, in their order. Linear in the logits, as class margins and logits are.
        method: the explainer.

    Returns:
        Signed maps float32 [*network space], in logits; 0 on other slices and outside the patch.
    """
    pictures, flips = pictures_of(study)[rows], flips_of(study.task)
    expect_windows(len(flips))
    found = torch.zeros(len(rows), *pictures.shape[2:])
    for axes in flips:
        image = pictures.flip(tuple(axis + 2 for axis in axes))
        maps = attribute(model, image, target, explainer=method.explainer, options=method.options, seed=method.seed)
        found += maps.flip(tuple(axis + 1 for axis in axes)).cpu() / len(flips)
    return _placed(found, rows, study)


def _placed(found: Tensor, rows: Tensor, study: PreparedStudy) -> Tensor:
    """Put maps of pictures where the pictures are, on the network's grid."""
    if study.alignment is None:
        whole = torch.zeros(len(study.image), *found.shape[1:])
        whole[rows] = found
        return whole
    space, size = tuple(study.image.shape[1:]), study.task.image_size
    # The box that a patch was cut from, seen from the patch, is where the volume begins in it.
    return cut(found[0], [-corner for corner in corner_of(None, size, space)], space, fill=0.0)
