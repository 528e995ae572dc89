"""Flow: a recipe trained and scored once per fold, pooled; the teachers of all folds asked together about held-out patients."""

from __future__ import annotations

from dataclasses import dataclass

from data_contracts import CrossValidation, Recipe
from flows.orchestration import flow, submit_all, task
from flows.pipeline import learn
from flows.prepare import prepare
from medkd.experiment.ensemble import score_ensemble
from medkd.experiment.pool_folds import cross_validation_markdown, pool_folds
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace

score_together = task(score_ensemble)
RECORD, TABLE = "cross_validation.json", "cross_validation.md"


@dataclass(frozen=True)
class FoldPlan:
    """A recipe as it was given and once per fold; with ``hold_out`` its validation part is in no fold."""

    recipe: Recipe
    folds: tuple[Recipe, ...]
    hold_out: bool = False


@flow
def cross_validate(workspace: Workspace, plan: FoldPlan) -> CrossValidation:
    """Train, score and pool; what a fold has already is taken from the run."""
    results = learn(workspace, plan.folds, until="evaluate")
    ensemble = None
    teachers = tuple(one.teacher for one in results if one.teacher is not None)
    if plan.hold_out and len(teachers) > 1:
        (held_out,) = prepare(workspace, (plan.recipe,))
        call = (workspace, held_out.cohorts, tuple(one.cohorts for one in results), teachers)
        ensemble = submit_all(score_together, [call], title="ensemble")[0]
    found = pool_folds(plan.recipe, results, ensemble)
    found.write(workspace.root / RECORD)
    write_bytes(workspace.root / TABLE, cross_validation_markdown(found).encode())
    return found
