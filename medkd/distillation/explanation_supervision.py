"""Right for the right reasons: attribution outside the allowed region costs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import DataError
from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import over_batch
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target, class_margin, lesion_margin
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"labels", "masks", "explainer"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Ross et al. 2017 (1703.03717), on the unit-norm map"
RANGE = (0.0, 1.0)
MINIMUM_AT_TEACHER = False


def explanation_supervision(
    student: Trace, teacher: Knowledge | None, sample: Sample, *, explainer: str = "cam", dilation: int = 4
) -> Scalar:
    """Return the share of the map's energy that lies outside the lesion: sum((forbidden * a)^2) / sum(a^2), in [0, 1].

    The paper's penalty on the unit-norm map: scale-free, so that it cannot be met by making all weights small.

    Args:
        student: trace with the explainer's layer tapped and a graph.
        teacher: not used; lesion masks need none. A teacher itself is guided this way (privileged information).
        sample: labels give the explained class, masks [batch, *space] the allowed region; cases without a mask do not count.
        explainer: any entry of the catalogue that declares DIFFERENTIABLE.
        dilation: pixels by which the allowed region is grown (a class map's cells are coarse).
    """
    del teacher
    if sample.masks is None or sample.labels is None:
        raise DataError(
            "MASKS_MISSING", f"expected labels and lesion masks for explanation_supervision, this batch of {len(student.image)} lacks them"
        )
    allowed = _grow(sample.masks, dilation)
    energy = EXPLAINERS.load(explainer)(student, _target(sample), differentiable=True).square().flatten(1)
    # Relative to the map's own energy, else a student would shrink its maps instead of moving them.
    outside = (energy * (1 - allowed.flatten(1))).sum(1) / energy.sum(1).clamp_min(1e-12)
    labelled = sample.labels.reshape(len(outside), -1).ge(0).any(1)
    return over_batch(outside, sample, labelled & allowed.flatten(1).any(1))


def _target(sample: Sample) -> Target:
    labels = sample.labels
    if labels is None or sample.masks is None:
        raise DataError("MASKS_MISSING", "expected labels and masks")
    return class_margin(labels.clamp_min(0)) if labels.ndim == 1 else lesion_margin(sample.masks)


def _grow(masks: Tensor, dilation: int) -> Tensor:
    pool = {2: functional.max_pool1d, 3: functional.max_pool2d, 4: functional.max_pool3d}[masks.ndim]
    return pool((masks > 0).to(torch.float32)[:, None], kernel_size=2 * dilation + 1, stride=1, padding=dilation)[:, 0]
