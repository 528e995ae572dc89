"""Flow: teachers are asked once, and what they know is stored and handed to the arms that read a store."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from data_contracts import KnowledgeRef, ModelRef, Recipe
from flows.each import submit_each
from flows.evaluate import evaluate
from flows.orchestration import flow, task
from flows.prepare import prepare
from flows.register import register, register_knowledge
from flows.synthesise import with_pictures
from flows.train_teacher import train_teacher
from medkd.recipe_calls.training_calls import every_knowledge_call, knowledge_calls, with_knowledge
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace
from medkd.training import extract_knowledge as extraction

ask_teacher = task(extraction.extract_knowledge)


@flow
def extract_knowledge(workspace: Workspace, results: Sequence[RecipeResult]) -> tuple[RecipeResult, ...]:
    """Ask every teacher that an arm reads a store of, about the pictures made from it too where an arm learns from those."""
    results = with_pictures(workspace, results)
    asked = submit_each(ask_teacher, results, partial(knowledge_calls, workspace), title="knowledge")
    return tuple(with_knowledge(result, own) for result, own in asked)


@flow
def extract_and_register(workspace: Workspace, recipe: Recipe) -> tuple[tuple[ModelRef, KnowledgeRef], ...]:
    """Train, judge and score a recipe's teachers, ask each that an arm asks about every case, and register them and what they know, the first's first."""
    (evaluated,) = evaluate(workspace, train_teacher(workspace, prepare(workspace, (recipe,))))
    ((_, records),) = submit_each(ask_teacher, [evaluated], partial(every_knowledge_call, workspace), title="knowledge")
    known = with_knowledge(evaluated, records)
    registered = register(workspace, [known])
    ordered = [one for one in (known.knowledge, *known.further_knowledge) if one is not None]
    return tuple(zip(register_knowledge(workspace, registered), ordered, strict=True))
