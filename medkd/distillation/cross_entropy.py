"""The task's own term: cross-entropy on labels, with soft Dice for segmentation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from medkd.distillation._reduce import over_batch, over_voxels
from medkd.knowledge.interface import Knowledge
from medkd.trace import Sample, Trace
from medkd.types import Scalar

NEEDS = frozenset({"labels"})
TASKS = frozenset({"classification", "segmentation"})
SOURCE = "cross-entropy; soft Dice: Milletari et al. 2016 (1606.04797)"
RANGE = (0.0, float("inf"))
MINIMUM_AT_TEACHER = False
MISSING = -1
_TINY = 1e-8
#: Understands batches in which images were blended: each case then has two labels, and a share of each.
MIXES = True


def cross_entropy(student: Trace, teacher: Knowledge | None, sample: Sample, *, dice: float = 1.0, label_smoothing: float = 0.0) -> Scalar:
    """Return cross-entropy plus ``dice`` times the soft Dice loss (segmentation only) on the labels that exist.

    Args:
        student: logits [batch, classes, *space].
        teacher: not used.
        sample: labels [batch, *space], -1 where missing; a batch without any label gives zero. Blended images pay for both labels, by
            their shares.
        dice: weight of the Dice loss, mean over foreground classes of 1 - 2 sum(p y) / (sum p + sum y), per case.
        label_smoothing: as in ``torch.nn.functional.cross_entropy``.
    """
    del teacher
    logits = student.logits.float()
    loss, labelled = _per_case(logits, _labels(sample, logits), sample, dice, label_smoothing)
    if sample.other_labels is not None and sample.shares is not None:
        other, other_known = _per_case(logits, sample.other_labels.long(), sample, dice, label_smoothing)
        own_share = sample.shares.to(loss) * labelled
        other_share = (1 - sample.shares.to(loss)) * other_known
        loss = (own_share * loss + other_share * other) / (own_share + other_share).clamp_min(_TINY)
        labelled = labelled | other_known
    return over_batch(loss, sample, labelled)


def _per_case(logits: Tensor, labels: Tensor, sample: Sample, dice: float, label_smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the loss of each case [batch], and which cases have a label."""
    valid = labels != MISSING
    if sample.valid_mask is not None and labels.ndim > 1:
        valid = valid & sample.valid_mask
    labelled = valid.reshape(len(valid), -1).any(1)
    # Where a label is missing any class may stand: its voxel weighs nothing in the mean below.
    entropy = functional.cross_entropy(logits, labels.clamp_min(0), reduction="none", label_smoothing=label_smoothing)
    loss = over_voxels(entropy.reshape(len(entropy), -1), valid.reshape(len(valid), -1))
    if logits.ndim > 2 and dice > 0:
        loss = loss + dice * _soft_dice(logits, labels, valid)
    return loss, labelled


def _labels(sample: Sample, logits: Tensor) -> Tensor:
    if sample.labels is None:
        return torch.full((len(logits), *logits.shape[2:]), MISSING, device=logits.device)
    return sample.labels.long()


def _soft_dice(logits: Tensor, labels: Tensor, valid: Tensor) -> Tensor:
    inside = valid[:, None].to(logits.dtype)
    predicted = logits.softmax(1) * inside
    target = functional.one_hot(labels.clamp_min(0), logits.shape[1]).movedim(-1, 1).to(logits.dtype) * inside
    overlap = (predicted * target).flatten(2).sum(2)
    total = predicted.flatten(2).sum(2) + target.flatten(2).sum(2)
    # 1, and not 0 / 0, where a class is neither there nor predicted.
    score = (2 * overlap + 1e-5) / (total + 1e-5)
    # The background is left out: it is nearly everything, and would hide how small structures are doing.
    return 1 - score[:, 1:].mean(1)
