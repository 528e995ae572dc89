"""Step: recipes become cohorts with their certificates."""

from __future__ import annotations

from data_contracts import DicomData, IngestReport, PhantomData, Recipe
from flows.orchestration import submit_all, task
from medkd.cohorts.prepare import data_folder, prepare_cohorts, source_digest
from medkd.precision import warn_of_slow_precision
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace

prepare_one = task(prepare_cohorts)


def prepare(workspace: Workspace, recipes: tuple[Recipe, ...]) -> tuple[RecipeResult, ...]:
    """Render or import, split and certify the cohorts of each recipe."""
    warn_of_slow_precision(
        fit.precision
        for recipe in recipes
        for fit in (recipe.teacher.fit, recipe.student.fit, *(one.fit for one in recipe.teachers.values()))
    )
    calls = [
        (workspace, recipe.cohorts(), source_digest(recipe.data, workspace.data_root), _ingested(workspace, recipe)) for recipe in recipes
    ]
    # Folders of data lie where the run was started.
    reads_disk = not all(isinstance(one.data, PhantomData) for one in recipes)
    cohorts = submit_all(prepare_one, calls, title="cohorts", names=[one.name for one in recipes], reads_disk=reads_disk)
    return tuple(RecipeResult(recipe, own) for recipe, own in zip(recipes, cohorts, strict=True))


def _ingested(workspace: Workspace, recipe: Recipe) -> IngestReport | None:
    """Ingest the DICOM data of a recipe into the run's store; unchanged series are taken from there."""
    if not isinstance(recipe.data, DicomData):
        return None
    # Imported here: only a recipe on DICOM pays for the readers.
    from flows.ingest import ingest
    from medkd.cohorts.dicom_cohort import ingested_folder
    from medkd.dicom.ingest import IngestRequest

    source = data_folder(recipe.data, workspace.data_root)
    if source is None:
        return None
    request = IngestRequest(source, ingested_folder(workspace, recipe.name), recipe.data.policy, progress=workspace.progress)
    return ingest(request)
