"""A cohort opened: its arrays side by side, for as long as one stage runs."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from data_contracts import Case, Cohort, CohortSet, CohortUse, DataError, Ref, Task, TrainingConfig, read_record
from medkd.cohorts.case_directives import CaseDirectives, joined_directives
from medkd.cohorts.case_inputs import channel_keys, row_planes
from medkd.storage.store import Store
from medkd.trace import Sample
from medkd.volumes.window import window_intensity

MISSING = -1
#: What stands in a stored label map (uint8) where nobody says what is there: no class has this number.
WITHOUT_LABEL = 255


@dataclass(frozen=True)
class TensorCohort:
    """Arrays of n cases in the order of ``cases``.

    Attributes:
        images: float32 [n, channel, row, column]: images in [-1, 1], and after them the clinical row where the task names one.
        labels: int64 [n], -1 where missing.
        masks: uint8 [n, row, column]; zeros where ``has_mask`` is False.
        has_mask: bool [n].
        valid: bool [n, row, column], False where an image was padded.
        markers: bool [n], planted marker present (phantom only, otherwise False).
        directives: what readers said of the cases; None where there is no feedback.
    """

    cases: tuple[Case, ...]
    images: Tensor
    labels: Tensor
    masks: Tensor
    has_mask: Tensor
    valid: Tensor
    markers: Tensor
    directives: CaseDirectives | None = None

    def __len__(self) -> int:
        return len(self.cases)

    def select(self, rows: Tensor) -> TensorCohort:
        """Return the cases of the given rows (int64), repeated rows allowed."""
        arrays = {name: getattr(self, name)[rows] for name in ("images", "labels", "masks", "has_mask", "valid", "markers")}
        directives = None if self.directives is None else self.directives.select(rows)
        return replace(self, cases=tuple(self.cases[row] for row in rows.tolist()), directives=directives, **arrays)

    def draw(self, rows: Tensor, task: Task, config: TrainingConfig, generator: torch.Generator) -> Sample:
        """Return the batch of some rows; a segmentation's labels are its masks, missing (-1) where there is none."""
        del config, generator  # whole pictures: nothing is cut
        masks, known, labels = self.masks[rows], self.has_mask[rows], self.labels[rows]
        if task.kind.is_dense:
            # A case without a mask is not empty: nobody has looked, and -1 keeps it out of losses.
            labels = torch.where(known.view(-1, *(1,) * (masks.ndim - 1)), masks.long(), torch.full_like(masks, 0).long() + MISSING)
            unknown = masks == WITHOUT_LABEL
            labels, masks = labels.masked_fill(unknown, MISSING), masks.masked_fill(unknown, 0)
        patients = patient_codes(self.cases[row].patient_key for row in rows.tolist())
        sample = Sample(inputs={"image": self.images[rows]}, labels=labels, masks=masks, valid_mask=self.valid[rows], patients=patients)
        if task.case_classes:
            sample = replace(sample, case_labels=self.labels[rows])
        if self.directives is None:
            return sample
        return self.directives.attach(sample, rows, [self.directives.forbidden[row] for row in rows.tolist()])

    def inside(self, values: Tensor) -> Tensor:
        """Return values with 0 where an image was padded: nobody was trained there, so that answers and maps of padding mean nothing.

        Args:
            values: [n, *any, *space] of the images' space, or of a coarser grid of it (a cell counts where any voxel of it was measured).
        """
        grid = values.shape[values.ndim - (self.valid.ndim - 1) :]
        valid = self.valid
        if grid != valid.shape[1:]:
            pool = functional.adaptive_max_pool2d if len(grid) == 2 else functional.adaptive_max_pool3d
            valid = pool(valid[:, None].float(), tuple(grid))[:, 0] > 0
        between = values.ndim - valid.ndim
        return values * valid.reshape(len(valid), *(1,) * between, *grid).to(values.dtype)

    def patients(self) -> list[str]:
        """Return the patient key of each case."""
        return [case.patient_key for case in self.cases]

    def nbytes(self) -> int:
        """Return the bytes of what is drawn from."""
        return sum(values.nbytes for values in (self.images, self.labels, self.masks, self.has_mask, self.valid))

    def to(self, device: torch.device) -> TensorCohort:
        """Return the cohort with what is drawn from on a device."""
        names = ("images", "labels", "masks", "has_mask", "valid")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


def patient_codes(keys: Iterable[str]) -> Tensor:
    """Return one int64 per key, equal for equal keys."""
    return torch.tensor([zlib.crc32(key.encode()) for key in keys])


def concatenate(first: TensorCohort, second: TensorCohort) -> TensorCohort:
    """Return both cohorts as one."""
    arrays = {
        name: torch.cat([getattr(first, name), getattr(second, name)])
        for name in ("images", "labels", "masks", "has_mask", "valid", "markers")
    }
    directives = joined_directives(first.directives, second.directives, (len(first), len(second)))
    return TensorCohort(cases=first.cases + second.cases, directives=directives, **arrays)


def read_cohort(ref: Ref, store: Store) -> Cohort:
    """Read a cohort record from a store, its digest verified."""
    if not store.verify(ref):
        raise DataError("COHORT_ALTERED", f"expected the cohort {ref.key} with sha256 {ref.sha256[:12]}, it is missing or altered")
    return read_record(store.path(ref).read_bytes(), Cohort)


def patients_of(cohorts: CohortSet, subsets: Iterable[str], store: Store) -> set[str]:
    """Return the keys of the patients whose cases belong to any of these subsets."""
    uses = [cohorts.uses[subset] for subset in subsets]
    return {case.patient_key for use in uses for case in read_cohort(use.cohort, store).part(use.part)}


def open_use(cohorts: CohortSet, subset: str, store: Store, task: Task) -> TensorCohort:
    """Open the cohort of a subset.

    Raises:
        DataError: ``COHORT_MISSING`` when the set has no such subset, ``COHORT_SHAPE`` when images are not of the task's size.
    """
    use = cohorts.uses.get(subset)
    if use is None:
        raise DataError("COHORT_MISSING", f"expected a cohort for {subset!r}, this set has {sorted(cohorts.uses)}")
    return open_cohort(use, store, task)


def open_cohort(use: CohortUse, store: Store, task: Task) -> TensorCohort:
    """Open one part of a stored cohort; rows of a shard follow the order of its cases in the record."""
    cohort = read_cohort(use.cohort, store)
    wanted = {case.case_key for case in cohort.part(use.part)}
    opened: list[TensorCohort] = []
    # Each shard is read once, in the order in which the record names it.
    for shard in dict.fromkeys(case.image for case in cohort.cases):
        of_shard = tuple(case for case in cohort.cases if case.image == shard)
        rows = torch.tensor([row for row, case in enumerate(of_shard) if case.case_key in wanted], dtype=torch.int64)
        if len(rows):
            opened.append(_open_shard(store.read_tensors(shard), of_shard, rows, task, cohort.channels))
    if not opened:
        raise DataError("COHORT_EMPTY", f"expected cases in the {use.part.value} part of cohort {cohort.name!r}, it has none")
    result = opened[0]
    for more in opened[1:]:
        result = concatenate(result, more)
    return result


def _open_shard(shard: dict[str, Tensor], cases: tuple[Case, ...], rows: Tensor, task: Task, held: tuple[str, ...]) -> TensorCohort:
    if shard["images"].shape != (len(cases), *task.image_size):
        raise DataError("COHORT_SHAPE", f"expected images of shape {(len(cases), *task.image_size)}, got {tuple(shard['images'].shape)}")
    channels = [window_intensity(shard[key][rows], task.window)[:, None] for key in channel_keys("images", held, task)]
    chosen = tuple(cases[row] for row in rows.tolist())
    images = torch.cat([*channels, row_planes(chosen, task, channels[0].shape[2:])], 1) if task.in_channels > 1 else channels[0]
    masks = shard.get("masks", torch.zeros(shard["images"].shape, dtype=torch.uint8))[rows]
    valid = shard["valid"][rows].bool() if "valid" in shard else torch.ones(channels[0][:, 0].shape, dtype=torch.bool)
    markers = shard["markers"][rows].bool() if "markers" in shard else torch.zeros(len(rows), dtype=torch.bool)
    return TensorCohort(
        cases=chosen,
        images=images,
        labels=torch.tensor([MISSING if case.label is None else case.label for case in chosen]),
        masks=masks,
        has_mask=torch.tensor([case.mask is not None for case in chosen]),
        valid=valid,
        markers=markers,
    )
