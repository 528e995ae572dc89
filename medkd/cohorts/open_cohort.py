"""Open the cohort of a subset: pictures as one array, volumes each on its own grid."""

from __future__ import annotations

from data_contracts import CohortSet, DataError, FeedbackDirectives, Task
from medkd.cohorts.follow_directives import reviewed, taught_by
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
        return pictures if directives is None else taught_by(pictures, directives)
    volumes = open_volume_use(cohorts, subset, store, task)
    if directives is not None:
        volumes = taught_by(volumes, directives)
    return volumes if task.kind.is_dense else volumes.as_tensors(task)


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
    if task.spatial_dims == 3 and task.kind.is_dense:
        # Round the label: a patch without the structure has no map that could be judged.
        return open_volume_use(cohorts, subset, store, task).as_tensors(task, centre="label")
    return open_pictures(cohorts, subset, store, task)


def open_reviewed(cohorts: CohortSet, subset: str, store: Store, task: Task, directives: FeedbackDirectives) -> TensorCohort | None:
    """Return the cases of a subset that readers gave feedback on, with what they said, as one array; None where there are none.

    Volumes are cut to a patch, round their label where they are segmented: what readers said of voxels outside of it is not seen.
    """
    if task.spatial_dims == 2:
        return reviewed(open_use(cohorts, subset, store, task), directives)
    volumes = reviewed(open_volume_use(cohorts, subset, store, task), directives)
    if volumes is None:
        return None
    return volumes.as_tensors(task, centre="label" if task.kind.is_dense else "volume")
