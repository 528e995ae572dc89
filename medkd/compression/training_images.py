"""Training cases that compression looks at: ranges are calibrated, and accuracy is controlled, on nobody who is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts import CohortSet, LeakageError, Subset, Task, TaskKind
from medkd.cohorts.open_cohort import open_for_maps
from medkd.cohorts.split import TESTS
from medkd.cohorts.tensor_cohort import TensorCohort, patients_of
from medkd.measures.dice import dice
from medkd.serving.runtime_network import RuntimeNetwork
from medkd.storage.store import Store


@dataclass(frozen=True)
class TrainingImages:
    """Images of training cases as a network sees them; of volumes that are segmented, the patch round their label.

    Attributes:
        images: float32 [n, image, *size of the task].
        labels: int64 [n] of classes, or uint8 [n, *size] of segmentations (1 where anything is marked).
        valid: bool [n, *size], False where an image was padded.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    valid: NDArray[np.bool_]


def training_images(cohorts: CohortSet, seed: int, store: Store, task: Task, cases: int) -> TrainingImages:
    """Return the first cases that a student of a seed was trained on.

    Args:
        cohorts: of the recipe.
        seed: of the student.
        store: where they lie.
        task: of the networks.
        cases: how many, at most.

    Raises:
        LeakageError: ``CALIBRATION_ON_TEST`` when a patient among them is tested.
        DataError: ``COHORT_MISSING`` when the recipe has no such seed.
    """
    cohort = open_for_maps(cohorts, Subset.STUDENT_TRAIN.of(seed), store, task)
    chosen = cohort.select(torch.arange(min(cases, len(cohort))))
    require_untested(chosen, cohorts, store)
    labels = chosen.masks if task.kind is TaskKind.SEGMENTATION else chosen.labels
    return TrainingImages(chosen.images.numpy(), labels.numpy().astype(np.int64), chosen.valid.numpy())


def require_untested(cohort: TensorCohort, cohorts: CohortSet, store: Store) -> None:
    """Refuse cases of patients that are tested.

    Raises:
        LeakageError: ``CALIBRATION_ON_TEST`` naming their keys.
    """
    tested = patients_of(cohorts, [subset for subset in TESTS if subset in cohorts.uses], store)
    shared = sorted(tested & set(cohort.patients()))
    if shared:
        raise LeakageError(
            "CALIBRATION_ON_TEST",
            f"expected ranges to be calibrated on training patients alone, {len(shared)} of these are tested: {', '.join(shared[:5])}",
        )


def figure_on(shown: TrainingImages, task: Task) -> Callable[[RuntimeNetwork], float]:
    """Return a function that gives a form's task figure on training images: mean Dice of what is marked, or the share of right answers."""

    def figure(network: RuntimeNetwork) -> float:
        """Return the figure of one form."""
        answers = torch.from_numpy(network.ask(shown.images)[0].argmax(1))
        labels = torch.from_numpy(shown.labels)
        if task.kind is TaskKind.SEGMENTATION:
            # Training left the padding out: what a network says there is no mistake of it.
            return float(dice((answers > 0) & torch.from_numpy(shown.valid), labels > 0).double().nanmean())
        known = labels >= 0
        return float((answers[known] == labels[known]).double().mean())

    return figure
