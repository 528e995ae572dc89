"""A cohort of volumes opened: each case with its own grid, cut into patches when a batch is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from data_contracts import Case, CohortUse, DataError, Task, TrainingConfig
from medkd.cohorts.case_directives import CaseDirectives, joined_directives
from medkd.cohorts.case_inputs import channel_keys, row_planes
from medkd.cohorts.shards import IMAGE, VolumeShard, read_volume
from medkd.cohorts.tensor_cohort import MISSING, WITHOUT_LABEL, TensorCohort, patient_codes, read_cohort
from medkd.storage.store import Store
from medkd.trace import Sample
from medkd.volumes.intensity import within_volume
from medkd.volumes.orientation import Grid
from medkd.volumes.resample import Alignment, align
from medkd.volumes.window import window_intensity


@dataclass(frozen=True)
class VolumeCohort:
    """Volumes of n cases.

    Attributes:
        images: float32 [channel, slice, row, column] each, as a network sees them (resampled where the task names a spacing).
        labels: uint8 [slice, row, column] each on the image's grid, 0 background.
        has_label: whether a label exists.
        alignments: how each image belongs to the voxels it was imported with.
        references: uint8 label maps on the imported voxels: what predictions are scored against.
        synthetic: bool maps on the imported voxels, true where nothing was measured (repaired slices, padding); None where all was.
            Training and measures leave those voxels out.
        directives: what readers said of the cases; None where there is no feedback.
    """

    cases: tuple[Case, ...]
    images: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    has_label: tuple[bool, ...]
    alignments: tuple[Alignment, ...]
    references: tuple[Tensor, ...]
    synthetic: tuple[Tensor | None, ...]
    directives: CaseDirectives | None = None

    def __len__(self) -> int:
        return len(self.cases)

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return [case.patient_key for case in self.cases]

    def select(self, rows: Tensor) -> VolumeCohort:
        """Return the cases of the given rows."""
        chosen = rows.tolist()
        names = ("cases", "images", "labels", "has_label", "alignments", "references", "synthetic")
        arrays: dict[str, Any] = {name: tuple(getattr(self, name)[row] for row in chosen) for name in names}
        return replace(self, directives=None if self.directives is None else self.directives.select(rows), **arrays)

    def spacing_mm(self, row: int) -> tuple[float, float, float]:
        """Return the voxel spacing of one case as it was imported, mm."""
        return self.alignments[row].source.spacing_mm

    def largest_extent_mm(self) -> tuple[float, float, float]:
        """Return how far the largest of the volumes reach along (slice, row, column) of the patient's axes, mm."""
        grids = [alignment.turned for alignment in self.alignments]
        slices, rows, columns = np.array([np.multiply(grid.shape, grid.spacing_mm) for grid in grids]).max(0).tolist()
        return (slices, rows, columns)

    def spacing_and_extent_mm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return voxel spacing and extent of each volume along (slice, row, column) of the patient's axes, mm [n, 3] each."""
        grids = [alignment.turned for alignment in self.alignments]
        spacing = np.array([grid.spacing_mm for grid in grids], dtype=float)
        return spacing, spacing * np.array([grid.shape for grid in grids])

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return a batch of patches, one per row: a share of them centred on a labelled voxel, padded where a volume is smaller.

        Image [batch, channel, *patch], labels int64 (-1 where padded or unlabelled), masks uint8 (any foreground), valid mask.
        """
        corners = [self._draw_corner(row, task.image_size, config.foreground_share, generator) for row in rows.tolist()]
        patches = [self._cut_patch(row, corner, task.image_size) for row, corner in zip(rows.tolist(), corners, strict=True)]
        image, label, valid = (torch.stack(parts) for parts in zip(*patches, strict=True))
        patients = patient_codes(self.cases[row].patient_key for row in rows.tolist())
        masks = (label > 0).to(torch.uint8)
        window = torch.tensor(corners)
        sample = Sample(inputs={"image": image}, labels=label, masks=masks, valid_mask=valid, patients=patients, window=window)
        if task.case_classes:
            known = [self.cases[row].label for row in rows.tolist()]
            sample = replace(sample, case_labels=torch.tensor([MISSING if one is None else one for one in known]))
        if self.directives is None:
            return sample
        cuts = [self._forbidden(row, corner, task.image_size) for row, corner in zip(rows.tolist(), corners, strict=True)]
        return self.directives.attach(sample, rows, cuts)

    def _draw_corner(self, row: int, size: tuple[int, ...], share: float, generator: torch.Generator) -> list[int]:
        label = self._shown(row)
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
        return corner

    def _shown(self, row: int) -> Tensor:
        """Return the label map of a case with background where there is no label: patches must not be drawn round what is hidden."""
        return self.labels[row].masked_fill(self.labels[row] == WITHOUT_LABEL, 0)

    def _cut_patch(self, row: int, corner: list[int], size: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
        image, label, measured = self.images[row], self.labels[row], self.measured(row)
        known = label.long() if self.has_label[row] else torch.full_like(label, 0).long() + MISSING
        return (
            _cut_image(image, corner, size),
            cut(known.masked_fill(~measured | (known == WITHOUT_LABEL), MISSING), corner, size, fill=MISSING),
            cut(measured, corner, size, fill=False),
        )

    def _forbidden(self, row: int, corner: list[int], size: tuple[int, ...]) -> Tensor | None:
        found = None if self.directives is None else self.directives.forbidden[row]
        return None if found is None else cut(found, corner, size, fill=0)

    def nbytes(self) -> int:
        """Return the bytes of what is drawn from."""
        return sum(values.nbytes for group in (self.images, self.labels) for values in group)

    def to(self, device: torch.device) -> VolumeCohort:
        """Return the cohort with what is drawn from on a device."""
        moved: dict[str, Any] = {name: tuple(values.to(device) for values in getattr(self, name)) for name in ("images", "labels")}
        return replace(self, **moved)

    def measured(self, row: int) -> Tensor:
        """Return where the voxels of one image, as a network sees it, were measured: bool [slice, row, column]."""
        synthetic = self.synthetic[row]
        if synthetic is None:
            return torch.ones_like(self.labels[row], dtype=torch.bool)
        # Where voxels are interpolated, one that took anything from a synthetic one is synthetic too.
        return (self.alignments[row].to_network(synthetic) <= 0).to(self.labels[row].device)

    def as_tensors(self, task: Task, *, centre: Literal["volume", "label"] = "volume") -> TensorCohort:
        """Return one patch of each volume as one array: cut where the volume is larger, padded (and marked so) where it is smaller.

        Args:
            task: its ``image_size`` is the patch.
            centre: patches are centred in the volume, or on the centre of mass of the label where there is one.
        """
        size = task.image_size
        corners = [self._corner(row, size, centre) for row in range(len(self))]
        labels = [cut(label, corner, size, fill=0) for label, corner in zip(self.labels, corners, strict=True)]
        images = torch.stack([_cut_image(image, corner, size) for image, corner in zip(self.images, corners, strict=True)])
        if task.clinical:
            images = torch.cat([images, row_planes(self.cases, task, size)], 1)
        valid = [cut(self.measured(row), corner, size, fill=False) for row, corner in enumerate(corners)]
        return TensorCohort(
            cases=self.cases,
            images=images,
            labels=torch.tensor([MISSING if case.label is None else case.label for case in self.cases]),
            masks=(torch.stack(labels) > 0).to(torch.uint8),
            has_mask=torch.tensor(self.has_label),
            valid=torch.stack(valid),
            markers=torch.zeros(len(self), dtype=torch.bool),
            directives=None
            if self.directives is None
            else replace(self.directives, forbidden=tuple(self._forbidden(row, corner, size) for row, corner in enumerate(corners))),
        )

    def _corner(self, row: int, size: tuple[int, ...], centre: str) -> list[int]:
        label = self.labels[row]
        wanted = label.nonzero().float().mean(0).round().long().tolist() if centre == "label" and bool(label.any()) else None
        return corner_of(wanted, size, tuple(label.shape))


def concatenate_volumes(first: VolumeCohort, second: VolumeCohort) -> VolumeCohort:
    """Return both cohorts as one."""
    names = ("cases", "images", "labels", "has_label", "alignments", "references", "synthetic")
    directives = joined_directives(first.directives, second.directives, (len(first), len(second)))
    return VolumeCohort(**{name: getattr(first, name) + getattr(second, name) for name in names}, directives=directives)


def corner_of(centre: list[int] | None, size: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """Return where a patch of ``size`` begins: inside the volume where it fits, the volume in its middle where it is smaller."""
    middle = [extent // 2 for extent in shape] if centre is None else centre
    return [(e - s) // 2 if e <= s else min(max(m - s // 2, 0), e - s) for m, s, e in zip(middle, size, shape, strict=True)]


def cut(values: Tensor, corner: list[int], size: tuple[int, ...], *, fill: float) -> Tensor:
    """Return the box [..., *size] of the last axes that begins at ``corner`` (may be negative); what lies outside is ``fill``."""
    begins = [max(c, 0) for c in corner]
    space = values.shape[-len(size) :]
    ends = [min(c + s, e) for c, s, e in zip(corner, size, space, strict=True)]
    place: tuple[Any, ...] = (..., *(slice(b, e) for b, e in zip(begins, ends, strict=True)))
    inner = values[place]
    before = [max(-c, 0) for c in corner]
    padding = [(b, s - b - extent) for b, s, extent in zip(before, size, inner.shape[-len(size) :], strict=True)]
    flat = [amount for pair in reversed(padding) for amount in pair]
    if not any(flat):
        return inner.clone()
    as_float = inner if inner.is_floating_point() else inner.to(torch.int64)
    return functional.pad(as_float, flat, value=fill).to(values.dtype)


def _cut_image(image: Tensor, corner: list[int], size: tuple[int, ...]) -> Tensor:
    """Return a patch [channel, *size] of an image; outside of it each channel has its own lowest value."""
    return torch.stack([cut(channel, corner, size, fill=float(channel.min())) for channel in image])


def open_volumes(use: CohortUse, store: Store, task: Task) -> VolumeCohort:
    """Open one part of a stored cohort of volumes, on the grid and with the intensities that the task asks for."""
    cohort = read_cohort(use.cohort, store)
    cases = cohort.part(use.part)
    if not cases:
        raise DataError("COHORT_EMPTY", f"expected cases in the {use.part.value} part of cohort {cohort.name!r}, it has none")
    shards = [read_volume(case, store, channel_keys(IMAGE, cohort.channels, task)) for case in cases]
    references = tuple(shard.label for shard in shards)
    alignments = tuple(align(_grid(shard), task) for shard in shards)
    images = ([alignment.to_network(channel) for channel in shard.channels] for alignment, shard in zip(alignments, shards, strict=True))
    return VolumeCohort(
        cases=cases,
        images=tuple(torch.stack([bring_intensity(channel, task) for channel in image]) for image in images),
        labels=tuple(alignment.labels_to_network(label) for alignment, label in zip(alignments, references, strict=True)),
        has_label=tuple(case.mask is not None for case in cases),
        alignments=alignments,
        references=references,
        synthetic=tuple(None if shard.synthetic is None else shard.synthetic > 0 for shard in shards),
    )


def _grid(shard: VolumeShard) -> Grid:
    slices, rows, columns = shard.image.shape
    return Grid((slices, rows, columns), shard.affine_lps_mm.numpy())


def bring_intensity(values: Tensor, task: Task) -> Tensor:
    """Return float32 intensities as a network of the task sees them: windowed to [-1, 1], or scaled within the volume."""
    if task.intensity == "window":
        return window_intensity(values, task.window)
    return torch.from_numpy(within_volume(values.numpy(), task))
