"""The explained scalar is a function of the logits: frozen, hashable by its record, one score per case.

A target also gives its coefficients, d score / d logits: what closed-form class maps are made of. Those of a soft label depend on the
logits, all others are linear. Several targets of one case (its lesions, a teacher's classes) are explained in one pass as :class:`MultiTarget`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        """Return d score / d logits at these logits, shaped as they are."""
        ...

    def of_case(self, case: int) -> Target:
        """Return the target of one case of a batch, for a batch of that case alone."""
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

    def of_case(self, case: int) -> ClassLogit:
        """Return the target of one case."""
        return ClassLogit(self.index if isinstance(self.index, int) or self.index.ndim == 0 else self.index[case : case + 1])

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

    def of_case(self, case: int) -> ClassMargin:
        """Return the target of one case."""
        return ClassMargin(self.index if isinstance(self.index, int) or self.index.ndim == 0 else self.index[case : case + 1])

    def record(self) -> TargetRecord:
        """Return the storable description."""
        return TargetRecord(kind="class_margin", options={"index": self.index} if isinstance(self.index, int) else {})


@dataclass(frozen=True, eq=False)
class LesionMargin:
    """Sum over a frozen lesion mask of the lesion logit minus the background logit (softmax heads).

    ``mask`` is uint8 or bool [batch, *space]; it is made from the unperturbed prediction and never recomputed while the image
    is perturbed (that would change the question). A mask of weights, float, weighs voxels: a window's share in a blended answer. ``kind``
    says in records what the mask is: a predicted lesion, or one that was missed (what speaks against it?). One mask may stand for a whole
    batch: copies of one image.
    """

    mask: Tensor
    index: int = 1
    background: int = 0
    kind: str = "lesion_margin"

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        return (logits.float() * self.coefficients(logits)).flatten(1).sum(1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return the mask at the lesion's channel and minus the mask at the background's."""
        if self.mask.shape[1:] != logits.shape[2:] or len(self.mask) not in (1, len(logits)):
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

    def of_case(self, case: int) -> LesionMargin:
        """Return the target of one case."""
        return replace(self, mask=self.mask[case : case + 1])

    def record(self) -> TargetRecord:
        """Return the storable description with the mask's digest."""
        stored = self.mask if self.mask.is_floating_point() else self.mask.to(torch.uint8)
        payload = stored.cpu().contiguous().numpy().tobytes()
        options = {"index": self.index, "background": self.background}
        return TargetRecord(kind=self.kind, options=options, mask_sha256=hashlib.sha256(payload).hexdigest())


@dataclass(frozen=True, eq=False)
class Voxel:
    """The logit of one class less another's at one voxel (its place in ``space``): an explanation on demand."""

    place: tuple[int, ...]
    index: int = 1
    background: int = 0

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        chosen, against = logits[:, self.index].flatten(1), logits[:, self.background].flatten(1)
        return (chosen - against)[:, self._row(logits)].float()

    def coefficients(self, logits: Logits) -> Tensor:
        """Return 1 and -1 at the voxel, 0 elsewhere."""
        result = torch.zeros(logits.shape, device=logits.device).flatten(2)
        result[:, self.index, self._row(logits)], result[:, self.background, self._row(logits)] = 1.0, -1.0
        return result.view(logits.shape)

    def of_case(self, case: int) -> Voxel:
        """Return the target itself: the place is the same in every case."""
        del case
        return self

    def record(self) -> TargetRecord:
        """Return the storable description."""
        return TargetRecord(kind="voxel", options={"place": self.place, "index": self.index, "background": self.background})

    def _row(self, logits: Logits) -> int:
        """Return the voxel's place among all, the last axis fastest."""
        space = tuple(logits.shape[2:])
        if len(self.place) != len(space) or not all(0 <= at < extent for at, extent in zip(self.place, space, strict=True)):
            raise ExplanationError("TARGET_VOXEL", f"expected a voxel inside {space}, got {self.place}")
        row = 0
        for at, extent in zip(self.place, space, strict=True):
            row = row * extent + at
        return row


@dataclass(frozen=True, eq=False)
class SoftLabel:
    """The log-probability of one class under a temperature: why did the teacher give it this share? In nat.

    Segmentation: the mean over a frozen mask, bool or uint8 [batch, *space]; over everything where there is none. Not linear in the
    logits: its coefficients are its gradient at them.
    """

    index: int
    temperature: float = 1.0
    mask: Tensor | None = None

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch]."""
        log_p = torch.log_softmax(logits.float() / self.temperature, dim=1)[:, self.index]
        return log_p if logits.ndim == 2 else (log_p * self._share(logits)).flatten(1).sum(1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return (one-hot - p) / T, shared over the mask."""
        p = torch.softmax(logits.detach().float() / self.temperature, dim=1)
        picked = _pick(self.index, logits)
        found = (picked.view(*picked.shape, *(1,) * (logits.ndim - 2)) - p) / self.temperature
        return found if logits.ndim == 2 else found * self._share(logits)[:, None]

    def of_case(self, case: int) -> SoftLabel:
        """Return the target of one case."""
        return self if self.mask is None else replace(self, mask=self.mask[case : case + 1])

    def record(self) -> TargetRecord:
        """Return the storable description."""
        return TargetRecord(kind="soft_label", options={"index": self.index, "temperature": self.temperature})

    def _share(self, logits: Logits) -> Tensor:
        inside = torch.ones((len(logits), *logits.shape[2:]), device=logits.device) if self.mask is None else self.mask.to(logits.device)
        flat = inside.float().flatten(1)
        return (flat / flat.sum(1, keepdim=True).clamp_min(1.0)).view(inside.shape)


@dataclass(frozen=True, eq=False)
class MultiTarget:
    """Several targets of each case, explained in one pass: scores [batch, targets]."""

    targets: tuple[Target, ...]

    def __call__(self, logits: Logits) -> Scores:
        """Return the scores, [batch, targets]."""
        return torch.stack([target(logits) for target in self.targets], dim=1)

    def coefficients(self, logits: Logits) -> Tensor:
        """Return those of each target, [batch, targets, classes, *space]."""
        return torch.stack([target.coefficients(logits) for target in self.targets], dim=1)

    def of_case(self, case: int) -> MultiTarget:
        """Return the targets of one case."""
        return MultiTarget(tuple(target.of_case(case) for target in self.targets))

    def record(self) -> TargetRecord:
        """Return how many there are; each has its own record."""
        return TargetRecord(kind="several", options={"targets": len(self.targets)})


def parts_of(target: Target) -> tuple[Target, ...]:
    """Return the single targets of a target."""
    return target.targets if isinstance(target, MultiTarget) else (target,)


def class_logit(index: int | Tensor) -> ClassLogit:
    """Explain the logit of one class."""
    return ClassLogit(index)


def class_margin(index: int | Tensor) -> ClassMargin:
    """Explain one class against the others."""
    return ClassMargin(index)


def lesion_margin(mask: Tensor, *, index: int = 1, background: int = 0) -> LesionMargin:
    """Explain one lesion of a segmentation."""
    return LesionMargin(mask, index, background)


def missed_lesion(mask: Tensor, *, index: int = 1, background: int = 0) -> LesionMargin:
    """Explain a lesion that is there and was not found: what speaks against it."""
    return LesionMargin(mask, index, background, kind="missed_lesion")


def strongest_cell(logits: Tensor) -> Tensor:
    """Return where a detector scores highest, uint8 [batch, *cells], one cell per case: its lesion margin is that detection's score, in logits."""
    score = (logits[:, 1:] - logits[:, :1]).amax(1).flatten(1)
    chosen = torch.zeros_like(score, dtype=torch.uint8).scatter(1, score.argmax(1, keepdim=True), 1)
    return chosen.view(len(logits), *logits.shape[2:])


def voxel(place: Sequence[int], *, index: int = 1, background: int = 0) -> Voxel:
    """Explain one voxel of a segmentation."""
    return Voxel(tuple(place), index, background)


def soft_labels(classes: int, *, temperature: float = 1.0, mask: Tensor | None = None) -> MultiTarget:
    """Explain all of a teacher's probabilities in one pass."""
    return MultiTarget(tuple(SoftLabel(index, temperature, mask) for index in range(classes)))


def lesion_margins(masks: Tensor, *, index: int | Sequence[int] = 1, background: int = 0) -> MultiTarget:
    """Explain all lesions of one case in one pass: masks [lesions, *space], the class of all or of each."""
    classes = [index] * len(masks) if isinstance(index, int) else list(index)
    if not len(masks) or len(classes) != len(masks):
        raise ExplanationError("TARGET_MASK", f"expected a mask per lesion, got {len(masks)} masks and {len(classes)} classes")
    return MultiTarget(tuple(LesionMargin(mask[None], own, background) for mask, own in zip(masks, classes, strict=True)))


def mean_coefficients(target: Target, logits: Logits) -> Tensor:
    """Return the mean over space of a target's coefficients, [batch, (targets,) classes]: how much each class's map counts in its own."""
    if isinstance(target, MultiTarget):
        return torch.stack([mean_coefficients(part, logits) for part in target.targets], dim=1)
    own = getattr(target, "mean_coefficients", None)
    if own is not None:
        found: Tensor = own(logits)
        return found
    coefficients = target.coefficients(logits)
    return coefficients if coefficients.ndim == 2 else coefficients.flatten(2).mean(2)
