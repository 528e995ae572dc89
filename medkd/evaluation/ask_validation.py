"""What a network answers about validation cases, as far as a calibration and a bound need it: memory does not grow with the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from data_contracts import Case, CohortSet, ConformalBound, DataError, Task, TaskKind
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.tensor_cohort import MISSING
from medkd.cohorts.volume_cohort import VolumeCohort
from medkd.evaluation.choose_calibration import Samples
from medkd.evaluation.conformal import bound_missed
from medkd.inference.apply_calibration import finding_probability
from medkd.inference.predict import predict_logits
from medkd.inference.predict_cohort import volume_logits
from medkd.storage.store import Store

#: About so many validation cases are asked, and so many of their voxels fitted on: beyond, parameters hardly change and the time does.
MOST_CASES, MOST_VOXELS = 200, 8192
#: Pictures whose logits are in memory at once.
_CHUNK = 64
_SEED = 20260302


@dataclass(frozen=True)
class ValidationAnswers:
    """What a network answered about validation cases.

    Attributes:
        samples: cases, or voxels sampled from each, with their labels.
        cases: how many cases were asked.
        bound: threshold over the patients who have a lesion, or are positive.
    """

    samples: Samples
    cases: int
    bound: ConformalBound


@dataclass(frozen=True)
class _Voxels:
    """One segmented case: sampled voxels (logits [voxel, class] and labels), and the highest probability within each lesion."""

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    lesions: NDArray[np.float64]


def ask_validation(model: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task) -> ValidationAnswers:
    """Ask a network about the labelled cases of a subset.

    Args:
        model: the network.
        cohorts: of the run.
        subset: of the validation cases.
        store: that holds them.
        task: of the network.

    Raises:
        DataError: ``VALIDATION_MISSING`` where no case has a label, ``CALIBRATION_NOT_FINITE`` for logits that are not finite.
    """
    if task.kind is TaskKind.CLASSIFICATION:
        return _classified(model, cohorts, subset, store, task)
    cases, voxels = [], []
    for case, one in _segmented(model, cohorts, subset, store, task):
        cases.append(case)
        voxels.append(one)
    names, patient = _patients(cases)
    own = Samples(
        logits=np.concatenate([one.logits for one in voxels]),
        labels=np.concatenate([one.labels for one in voxels]),
        patient=np.repeat(patient, [len(one.labels) for one in voxels]),
        names=names,
    )
    lesions = [np.concatenate([voxels[row].lesions for row in np.flatnonzero(patient == place)]) for place in range(len(names))]
    free = finding_probability(own.logits[own.labels == 0])
    return ValidationAnswers(own, len(cases), bound_missed(lesions, free, unit="lesion"))


def _classified(model: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task) -> ValidationAnswers:
    cohort = open_pictures(cohorts, subset, store, task)
    cohort = cohort.select(_drawn((cohort.labels != MISSING).tolist(), cohort.cases))
    names, patient = _patients(cohort.cases)
    logits = predict_logits(model, cohort.images, flips=task.test_time_flips).double().numpy()
    own = Samples(logits, cohort.labels.numpy(), patient, names)
    _require_finite(logits)
    probability = finding_probability(logits)
    positive = own.labels > 0
    scores = [probability[positive & (patient == p)] for p in range(len(names))]
    return ValidationAnswers(own, len(cohort), bound_missed(scores, probability[~positive], unit="positive"))


def _drawn(labelled: Sequence[bool], cases: Sequence[Case]) -> Tensor:
    """Return the rows that are asked, in order: all labelled cases of patients drawn by a fixed seed, until there are ``MOST_CASES``."""
    of_patient: dict[str, list[int]] = {}
    for row, case in enumerate(cases):
        if labelled[row]:
            of_patient.setdefault(case.patient_key, []).append(row)
    if not of_patient:
        raise DataError("VALIDATION_MISSING", "expected labelled validation cases to calibrate on, none has a label")
    groups, rows = list(of_patient.values()), list[int]()
    for index in np.random.default_rng(_SEED).permutation(len(groups)):
        if rows and len(rows) + len(groups[index]) > MOST_CASES:
            break
        rows += groups[index]
    return torch.tensor(sorted(rows))


def _patients(cases: Sequence[Case]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the patients in the order in which they come, and the number of each case's."""
    names = tuple(dict.fromkeys(case.patient_key for case in cases))
    number = {name: place for place, name in enumerate(names)}
    return names, np.array([number[case.patient_key] for case in cases], dtype=np.int64)


def _segmented(model: nn.Module, cohorts: CohortSet, subset: str, store: Store, task: Task) -> Iterator[tuple[Case, _Voxels]]:
    """Yield each case that has a mask with what is kept of it: logits of whole images are in memory for one chunk at a time."""
    random = np.random.default_rng(_SEED)
    if task.spatial_dims == 3:
        volumes = open_volume_use(cohorts, subset, store, task)
        chosen = _drawn(volumes.has_label, volumes.cases).tolist()
        for row in chosen:
            logits = volume_logits(model, volumes, row, task).double().numpy()
            yield volumes.cases[row], _voxels(logits, *_measured(volumes, row), MOST_VOXELS // len(chosen), random)
        return
    cohort = open_pictures(cohorts, subset, store, task)
    cohort = cohort.select(_drawn(cohort.has_mask.tolist(), cohort.cases))
    for begin in range(0, len(cohort), _CHUNK):
        part = cohort.select(torch.arange(begin, min(begin + _CHUNK, len(cohort))))
        answers = predict_logits(model, part.images, flips=task.test_time_flips).double().numpy()
        for row, case in enumerate(part.cases):
            yield case, _voxels(answers[row], part.masks[row].numpy(), part.valid[row].numpy(), MOST_VOXELS // len(cohort), random)


def _measured(volumes: VolumeCohort, row: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the label map of a volume as it was imported, and where it was measured."""
    label, synthetic = volumes.references[row].numpy(), volumes.synthetic[row]
    return label, np.ones(label.shape, dtype=bool) if synthetic is None else ~synthetic.numpy()


def _voxels(
    logits: NDArray[np.float64], label: NDArray[np.uint8], measured: NDArray[np.bool_], wanted: int, random: np.random.Generator
) -> _Voxels:
    """Return as many voxels of a case as are wanted, and the highest probability within each of its lesions.

    Args:
        logits: [class, *space].
        label: class of each voxel, [*space].
        measured: false where nothing was measured, [*space].
        wanted: how many voxels.
        random: draws them.
    """
    _require_finite(logits)
    places = np.flatnonzero(measured)
    if len(places) > wanted:
        places = np.sort(random.choice(places, max(1, wanted), replace=False, shuffle=False))
    lesions, count = ndimage.label((label > 0) & measured, structure=np.ones((3,) * label.ndim))
    best = ndimage.maximum(finding_probability(logits, axis=0), lesions, np.arange(1, count + 1)) if count else []
    return _Voxels(
        logits.reshape(len(logits), -1).T[places], label.reshape(-1)[places].astype(np.int64), np.asarray(best, dtype=np.float64)
    )


def _require_finite(logits: NDArray[np.float64]) -> None:
    if not np.isfinite(logits).all():
        raise DataError("CALIBRATION_NOT_FINITE", "expected finite logits of every validation case, the network gives others")
