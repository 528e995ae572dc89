"""Open the cohort of a subset: pictures as one array, volumes each on its own grid."""

from __future__ import annotations

from data_contracts import CohortSet, DataError, FeedbackDirectives, Task, TaskKind
from medkd.cohorts.follow_directives import follow_pictures, follow_volumes
from medkd.cohorts.tensor_cohort import TensorCohort, open_use
from medkd.cohorts.volume_cohort import VolumeCohort, open_volumes
from medkd.storage.store import Store


def open_for_training(
    cohorts: CohortSet, subset: str, store: Store, task: Task, directives: FeedbackDirectives | None = None
) -> TensorCohort | VolumeCohort:
    """Return the cohort of a subset in the form that training draws from: volumes to be segmented are cut anew for every batch.

    With ``directives`` the cases of patients whose feedback judges the student are left out, and the others carry what readers said.
    """
    if task.spatial_dims == 2:
        pictures = open_use(cohorts, subset, store, task)
        return pictures if directives is None else follow_pictures(pictures, directives)
    volumes = open_volume_use(cohorts, subset, store, task)
    if directives is not None:
        volumes = follow_volumes(volumes, directives)
    return volumes if task.kind is TaskKind.SEGMENTATION else volumes.as_tensors(task)


def open_pictures(cohorts: CohortSet, subset: str, store: Store, task: Task) -> TensorCohort:
    """Return the cohort of a subset as one array; of volumes, the patch in their middle."""
    if task.spatial_dims == 3:
        return open_volume_use(cohorts, subset, store, task).as_tensors(task)
    return open_use(cohorts, subset, store, task)


def open_volume_use(cohorts: CohortSet, subset: str, store: Store, task: Task) -> VolumeCohort:
    """Return the volumes of a subset.

    Raises:
        DataError: ``COHORT_MISSING`` when the set has no such subset.
    """
    use = cohorts.uses.get(subset)
    if use is None:
        raise DataError("COHORT_MISSING", f"expected a cohort for {subset!r}, this set has {sorted(cohorts.uses)}")
    return open_volumes(use, store, task)


def open_for_maps(cohorts: CohortSet, subset: str, store: Store, task: Task) -> TensorCohort:
    """Return the cohort of a subset as one array; of volumes that are segmented, the patch round their label."""
    if task.spatial_dims == 3 and task.kind is TaskKind.SEGMENTATION:
        # Round the label: a patch without the structure has no map that could be judged.
        return open_volume_use(cohorts, subset, store, task).as_tensors(task, centre="label")
    return open_pictures(cohorts, subset, store, task)
