"""Per-case results as they travel with a version: whose cases, how large their lesions, which subgroup, and what was measured."""

from __future__ import annotations

import math

from torch import Tensor

from data_contracts import CaseResults, CaseUnits, CohortSet, Evaluation, Subset, Task
from medkd.cohorts.open_cohort import open_pictures, open_volume_use
from medkd.cohorts.split import TESTS
from medkd.cohorts.tensor_cohort import read_cohort
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace


def case_units(store: Store, cohorts: CohortSet, task: Task) -> dict[str, CaseUnits]:
    """Return the cases of every test cohort of a set; one look at the voxels for all models of a recipe."""
    return {subset: _units(store, cohorts, subset, task) for subset in TESTS if subset in cohorts.uses}


def _units(store: Store, cohorts: CohortSet, subset: Subset, task: Task) -> CaseUnits:
    use = cohorts.uses[subset]
    cases = read_cohort(use.cohort, store).part(use.part)
    names = sorted({name for case in cases for name in case.attributes})
    return CaseUnits(
        case_keys=tuple(case.case_key for case in cases),
        patient_keys=tuple(case.patient_key for case in cases),
        labels=tuple(case.label for case in cases),
        lesion_voxels=tuple(_lesion_voxels(store, cohorts, subset, task)),
        # A case that does not say is in a subgroup of its own: leaving it out would hide that nobody knows.
        attributes={name: tuple(case.attributes.get(name, "") for case in cases) for name in names},
    )


def _lesion_voxels(store: Store, cohorts: CohortSet, subset: Subset, task: Task) -> list[int | None]:
    if task.spatial_dims == 3 and task.kind.is_dense:
        volumes = open_volume_use(cohorts, subset, store, task)
        return [int((label > 0).sum()) if known else None for label, known in zip(volumes.references, volumes.has_label, strict=True)]
    pictures = open_pictures(cohorts, subset, store, task)
    sizes = (pictures.masks > 0).flatten(1).sum(1).tolist()
    return [int(size) if known else None for size, known in zip(sizes, pictures.has_mask.tolist(), strict=True)]


def case_results(workspace: Workspace, recipe: str, cohorts: CohortSet, units: dict[str, CaseUnits], evaluation: Evaluation) -> CaseResults:
    """Return the per-case results of one network.

    Args:
        workspace: where its arrays lie.
        recipe: name of the recipe.
        cohorts: of the recipe.
        units: of :func:`case_units`.
        evaluation: of the network.
    """
    arrays = workspace.store.read_tensors(evaluation.arrays)
    return CaseResults(
        subject=f"{recipe}/{evaluation.arm}",
        seed=evaluation.seed,
        weights_digest=evaluation.weights_digest,
        cohorts={subset: cohorts.uses[subset].cohort.sha256 for subset in units},
        units=units,
        # What a detector found is several numbers a case: its figures are on the scorecard.
        values={name: _values(array) for name, array in sorted(arrays.items()) if array.ndim == 1},
    )


def _values(array: Tensor) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else float(value) for value in array.double().tolist())


def collect_case_results(
    workspace: Workspace, recipe: str, cohorts: CohortSet, task: Task, evaluations: tuple[Evaluation, ...]
) -> tuple[CaseResults, ...]:
    """Return the per-case results of all networks of a recipe; its test cohorts are looked at once."""
    units = case_units(workspace.store, cohorts, task)
    return tuple(case_results(workspace, recipe, cohorts, units, evaluation) for evaluation in evaluations)
