"""The explained scalar is a function of the logits: frozen, hashable by its record, one score per case.

Every target here is linear in the logits, so it also gives its coefficients: what closed-form class maps are made of.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from data_contracts import ExplanationError, TargetRecord
from medkd.types import Logits, Scores


@runtime_checkable
class Target(Protocol):
    """A function from logits [batch, classes, *space] to scores [batch]."""

    def __call__(self, logits: Logits) -> Scores:
        """Return one score per case, in logit units."""
        ...

    def coefficients(self, logits: Logits) -> Tensor:
        """Return d score / d logits, shaped as ``logits``: targets are linear, so it is independent of the logits' values."""
        ...

    def record(self) -> TargetRecord:
        """Return the storable description."""
        ...


def _pick(index: int | Tensor, logits: Logits) -> Tensor:
    """Return a one-hot [batch, classes] for a class index, one for all or one per case."""
    classes = logits.shape[1]
    chosen = torch.as_tensor(index, device=logits.device).expand(len(logits))
    if int(chosen.max()) >= classes or int(chosen.min()) < 0:
        raise ExplanationError("TARGET_CLASS", f"expected a class below {classes}, got {int(chosen.max())}")
    return torch.nn.functional.one_hot(chosen.long(), classes).to(torch.float32)


@dataclass(frozen=True, eq=False)
class ClassLogit:
    """The logit of one class; ``index`` may differ per case ([batch] int64). Segmentation: summed over space."""

    index: int | Tensor

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        return (logits.float() * self.coefficients(logits)).flatten(1).sum(1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return one-hot coefficients, the same at every voxel."""
        picked = _pick(self.index, logits)
        return picked.view(*picked.shape, *(1,) * (logits.ndim - 2)).expand_as(logits)

    def record(self) -> TargetRecord:
        """Return the storable description; per-case indices are stored with the case."""
        return TargetRecord(kind="class_logit", options={"index": self.index} if isinstance(self.index, int) else {})


@dataclass(frozen=True, eq=False)
class ClassMargin:
    """The logit of one class minus the mean of the others: invariant to a shift of all logits (a contrastive explanation)."""

    index: int | Tensor

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        return (logits.float() * self.coefficients(logits)).flatten(1).sum(1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return +1 for the class and -1/(classes - 1) for each other."""
        picked = _pick(self.index, logits)
        margin = picked - (1 - picked) / (logits.shape[1] - 1)
        return margin.view(*margin.shape, *(1,) * (logits.ndim - 2)).expand_as(logits)

    def record(self) -> TargetRecord:
        """Return the storable description."""
        return TargetRecord(kind="class_margin", options={"index": self.index} if isinstance(self.index, int) else {})


@dataclass(frozen=True, eq=False)
class LesionMargin:
    """Sum over a frozen lesion mask of the lesion logit minus the background logit (softmax heads).

    ``mask`` is uint8 or bool [batch, *space]; it is made from the unperturbed prediction and never recomputed while the image
    is perturbed (that would change the question).
    """

    mask: Tensor
    index: int = 1
    background: int = 0

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        return (logits.float() * self.coefficients(logits)).flatten(1).sum(1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return the mask at the lesion's channel and minus the mask at the background's."""
        if self.mask.shape != (len(logits), *logits.shape[2:]):
            raise ExplanationError(
                "TARGET_MASK", f"expected a mask of shape {(len(logits), *logits.shape[2:])}, got {tuple(self.mask.shape)}"
            )
        inside = self.mask.to(logits.device, torch.float32)
        result = torch.zeros(logits.shape, device=logits.device)
        result[:, self.index], result[:, self.background] = inside, -inside
        return result

    def mean_coefficients(self, logits: Logits) -> Tensor:
        """Return the mean of the coefficients over space, [batch, classes], without making them."""
        share = self.mask.to(logits.device, torch.float32).flatten(1).mean(1)
        result = torch.zeros(logits.shape[:2], device=logits.device)
        result[:, self.index], result[:, self.background] = share, -share
        return result

    def record(self) -> TargetRecord:
        """Return the storable description with the mask's digest."""
        payload = self.mask.to(torch.uint8).cpu().contiguous().numpy().tobytes()
        options = {"index": self.index, "background": self.background}
        return TargetRecord(kind="lesion_margin", options=options, mask_sha256=hashlib.sha256(payload).hexdigest())


def class_logit(index: int | Tensor) -> ClassLogit:
    """Explain the logit of one class."""
    return ClassLogit(index)


def class_margin(index: int | Tensor) -> ClassMargin:
    """Explain one class against the others."""
    return ClassMargin(index)


def lesion_margin(mask: Tensor, *, index: int = 1, background: int = 0) -> LesionMargin:
    """Explain one lesion of a segmentation."""
    return LesionMargin(mask, index, background)


def mean_coefficients(target: Target, logits: Logits) -> Tensor:
    """Return the mean over space of a target's coefficients, [batch, classes]: how much each class's map counts in its own."""
    own = getattr(target, "mean_coefficients", None)
    if own is not None:
        found: Tensor = own(logits)
        return found
    coefficients = target.coefficients(logits)
    return coefficients if coefficients.ndim == 2 else coefficients.flatten(2).mean(2)
