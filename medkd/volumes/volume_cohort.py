"""A cohort of volumes opened: each case with its own grid, cut into patches when a batch is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import Case, CohortUse, DataError, Fit, Task
from medkd.trace import Sample
from medkd.volumes.store import Store
from medkd.volumes.tensor_cohort import MISSING, TensorCohort, read_cohort
from medkd.volumes.window import window_intensity

#: Percentiles between which a volume is standardised: one bright vessel must not set the scale.
CLIP_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class VolumeCohort:
    """Volumes of n cases.

    Attributes:
        images: float32 [1, slice, row, column] each.
        labels: uint8 [slice, row, column] each, 0 background.
        has_label: whether a label exists.
        affines_lps_mm: float64 [4, 4] each.
    """

    cases: tuple[Case, ...]
    images: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    has_label: tuple[bool, ...]
    affines_lps_mm: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.cases)

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return [case.patient_key for case in self.cases]

    def select(self, rows: Tensor) -> VolumeCohort:
        """Return the cases of the given rows."""
        chosen = rows.tolist()
        names = ("cases", "images", "labels", "has_label", "affines_lps_mm")
        return replace(self, **{name: tuple(getattr(self, name)[row] for row in chosen) for name in names})

    def spacing_mm(self, row: int) -> tuple[float, float, float]:
        """Return the voxel spacing of one case, mm."""
        lengths = self.affines_lps_mm[row][:3, :3].norm(dim=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    def draw(self, rows: Tensor, task: Task, wish: Fit, generator: torch.Generator) -> Sample:
        """Return a batch of patches, one per row: a share of them centred on a labelled voxel, padded where a volume is smaller.

        Image [batch, 1, *patch], labels int64 (-1 where padded or unlabelled), masks uint8 (any foreground), valid mask.
        """
        patches = [self._draw_patch(row, task.image_size, wish.foreground_share, generator) for row in rows.tolist()]
        image, label, valid = (torch.stack(parts) for parts in zip(*patches, strict=True))
        return Sample(inputs={"image": image[:, None]}, labels=label, masks=(label > 0).to(torch.uint8), valid_mask=valid)

    def _draw_patch(self, row: int, size: tuple[int, ...], share: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        image, label = self.images[row][0], self.labels[row]
        wants_foreground = bool(torch.rand((), generator=generator) < share) and self.has_label[row] and bool(label.any())
        centre = None
        if wants_foreground:
            places = label.nonzero()
            centre = places[int(torch.randint(len(places), (), generator=generator))].tolist()
        corner = []
        for axis, (extent, wanted) in enumerate(zip(label.shape, size, strict=True)):
            low, high = min(0, extent - wanted), max(0, extent - wanted)
            free = int(torch.randint(low, high + 1, (), generator=generator))
            corner.append(free if centre is None else min(max(centre[axis] - wanted // 2, low), high))
        known = label.long() if self.has_label[row] else torch.full_like(label, 0).long() + MISSING
        return (
            cut(image, corner, size, fill=float(image.min())),
            cut(known, corner, size, fill=MISSING),
            cut(torch.ones_like(label, dtype=torch.bool), corner, size, fill=False),
        )

    def as_tensors(self, task: Task) -> TensorCohort:
        """Return the volumes that fit into one patch as one array, centred and padded; the others are left out.

        Raises:
            DataError: ``COHORT_SHAPE`` when none fits.
        """
        rows = [row for row, label in enumerate(self.labels) if all(e <= p for e, p in zip(label.shape, task.image_size, strict=True))]
        if not rows:
            raise DataError("COHORT_SHAPE", f"expected volumes that fit into {task.image_size}, none does")
        corners = [[(e - p) // 2 for e, p in zip(self.labels[row].shape, task.image_size, strict=True)] for row in rows]
        size = task.image_size
        labels = [cut(self.labels[row], corner, size, fill=0) for row, corner in zip(rows, corners, strict=True)]
        return TensorCohort(
            cases=tuple(self.cases[row] for row in rows),
            images=torch.stack(
                [cut(self.images[r][0], c, size, fill=float(self.images[r].min())) for r, c in zip(rows, corners, strict=True)]
            )[:, None],
            labels=torch.full((len(rows),), MISSING),
            masks=(torch.stack(labels) > 0).to(torch.uint8),
            has_mask=torch.tensor([self.has_label[row] for row in rows]),
            valid=torch.stack(
                [cut(torch.ones_like(self.labels[r], dtype=torch.bool), c, size, fill=False) for r, c in zip(rows, corners, strict=True)]
            ),
            markers=torch.zeros(len(rows), dtype=torch.bool),
        )


def cut(values: Tensor, corner: list[int], size: tuple[int, ...], *, fill: float) -> Tensor:
    """Return the box [*size] that begins at ``corner`` (may be negative); what lies outside is ``fill``."""
    begins = [max(c, 0) for c in corner]
    ends = [min(c + s, e) for c, s, e in zip(corner, size, values.shape, strict=True)]
    inner = values[tuple(slice(b, e) for b, e in zip(begins, ends, strict=True))]
    before = [max(-c, 0) for c in corner]
    padding = [(b, s - b - extent) for b, s, extent in zip(before, size, inner.shape, strict=True)]
    flat = [amount for pair in reversed(padding) for amount in pair]
    if not any(flat):
        return inner.clone()
    as_float = inner if inner.is_floating_point() else inner.to(torch.int64)
    return functional.pad(as_float, flat, value=fill).to(values.dtype)


def open_volumes(use: CohortUse, store: Store, task: Task) -> VolumeCohort:
    """Open one part of a stored cohort of volumes, intensities as the task asks."""
    cohort = read_cohort(use.cohort, store)
    cases = cohort.part(use.part)
    if not cases:
        raise DataError("COHORT_EMPTY", f"expected cases in the {use.part.value} part of cohort {cohort.name!r}, it has none")
    shards = [store.read_tensors(case.image) for case in cases]
    return VolumeCohort(
        cases=cases,
        images=tuple(bring_intensity(shard["image"], task)[None] for shard in shards),
        labels=tuple(shard["label"] for shard in shards),
        has_label=tuple(case.mask is not None for case in cases),
        affines_lps_mm=tuple(shard["affine_lps_mm"] for shard in shards),
    )


def bring_intensity(values: Tensor, task: Task) -> Tensor:
    """Return float32 intensities as a network of the task sees them: windowed to [-1, 1], or standardised within the volume."""
    if task.intensity == "window":
        return window_intensity(values, task.window)
    low, high = np.percentile(values.numpy(), CLIP_PERCENTILES)
    clipped = values.float().clamp(float(low), float(high))
    return (clipped - clipped.mean()) / clipped.std().clamp_min(1e-6)
