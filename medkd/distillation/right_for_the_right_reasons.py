"""Right for the right reasons: attribution on voxels that readers forbade costs."""

from __future__ import annotations

import torch
from torch import Tensor

from data_contracts import DataError
from medkd.catalogue import EXPLAINERS
from medkd.distillation._reduce import over_batch
from medkd.knowledge.interface import Knowledge
from medkd.targets import Target, class_margin, lesion_margin
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"explainer", "forbidden"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "Ross et al. 2017 (1703.03717), on maps in units of their own root mean square"
RANGE = (0.0, 1.0)
MINIMUM_AT_TEACHER = False


def right_for_the_right_reasons(student: Trace, teacher: Knowledge | None, sample: Sample, *, explainer: str = "cam") -> Scalar:
    """Return mean(f a^2) with f how much attribution is forbidden at a voxel, mean over the cases that have such voxels, in [0, 1].

    The map a is in units of its own root mean square, else a student would meet the term by making all of its maps small instead of
    looking elsewhere: the value is the share of the map's energy that lies on forbidden voxels.

    Args:
        student: trace with the explainer's layer tapped and a graph.
        teacher: not used.
        sample: ``forbidden``, percent [batch, *space]; labels give the explained class, masks the explained lesion, and where a case has
            neither its own answer is explained.
        explainer: any entry of the catalogue that declares DIFFERENTIABLE.

    Raises:
        DataError: ``FEEDBACK_MISSING`` when nothing is known of what readers forbade.
    """
    del teacher
    if sample.forbidden is None:
        raise DataError("FEEDBACK_MISSING", "expected what readers forbade for right_for_the_right_reasons, this batch brings no feedback")
    energy = EXPLAINERS.load(explainer)(student, _target(student, sample), differentiable=True).float().square().flatten(1)
    forbidden = sample.forbidden.flatten(1).to(energy) / 100
    # With the graph: what leaves the forbidden voxels is to turn up elsewhere, and not to disappear.
    share = (energy * forbidden).sum(1) / energy.sum(1).clamp_min(1e-12)
    return over_batch(share, sample, (forbidden > 0).any(1))


def _target(student: Trace, sample: Sample) -> Target:
    """Return what is explained: the labelled class or lesion, and where there is none what the student answers."""
    answer = student.logits.detach().argmax(1)
    if student.logits.ndim == 2:
        labels = answer if sample.labels is None else torch.where(sample.labels >= 0, sample.labels, answer)
        return class_margin(labels)
    found = (answer > 0).to(torch.uint8)
    if sample.masks is None:
        return lesion_margin(found)
    marked: Tensor = (sample.masks > 0).to(torch.uint8)
    has_lesion = marked.bool().flatten(1).any(1).view(-1, *(1,) * (marked.ndim - 1))
    return lesion_margin(torch.where(has_lesion, marked, found))
