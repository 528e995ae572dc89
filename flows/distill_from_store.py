"""Flow: students from registered knowledge, at a site that has never seen the teacher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data_contracts import Recipe, Registered, Scorecard
from flows.distill import distill
from flows.evaluate import evaluate
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from flows.register import register
from medkd.recipe_calls.training_calls import named_knowledge
from medkd.registry.publish_knowledge import fetch_knowledge, fetch_teacher
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training.recipes import reading_store

#: Quantities that compare a student with its teacher.
_COMPARING = ("agreement", "dice_to_teacher")
fetch, fetch_reference = task(fetch_knowledge), task(fetch_teacher)


@flow
def distill_from_store(workspace: Workspace, recipe: Recipe, uris: Sequence[str]) -> tuple[Registered, tuple[Scorecard, ...]]:
    """Train every arm from the knowledge of its teachers, score the students and register them below the teachers that they learned from.

    Where the first teacher is registered beside its knowledge, students are measured by it, and what each lost against it is stated.
    """
    wanted = reading_store(recipe)
    found = submit_all(fetch, [(workspace, uri) for uri in uris], title="fetch knowledge")
    fetched = named_knowledge(wanted, [(record, version) for record, version in found])
    reference = submit_all(fetch_reference, [(workspace, fetched[0].record)], title="fetch teacher")[0]
    (prepared,) = prepare(workspace, (wanted,))
    records = [one.record for one in fetched]
    known = replace(prepared, knowledge=records[0], further_knowledge=tuple(records[1:]), reference=reference)
    known = replace(known, knowledge_version=fetched[0].version, fetched=fetched)
    (done,) = evaluate(workspace, distill(workspace, [known]))
    (registered,) = register(workspace, [done if reference is not None else _without_comparisons(done)])
    return registered.require_registered(), registered.scorecards


def _without_comparisons(result: RecipeResult) -> RecipeResult:
    """Leave out what compares with a teacher: there is none, and the first student stood in its place."""
    cards = tuple(card.without(*_COMPARING) for card in result.scorecards)
    return replace(result, scorecards=cards, case_results=tuple(one.without(*_COMPARING) for one in result.case_results))
