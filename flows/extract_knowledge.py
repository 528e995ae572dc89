"""Flow: teachers are asked once, and what they know is stored and handed to the arms that read a store."""

from __future__ import annotations

from data_contracts import Checkpoint, CohortSet, KnowledgeRef, ModelRef, Recipe
from flows.engine import orchestrated, run_all
from flows.evaluate import evaluate
from flows.prepare import prepare
from flows.register import register, register_knowledge
from flows.train_teacher import train_teacher
from medkd.storage.workspace import Workspace
from medkd.training import extract_knowledge as extraction


@orchestrated
def extract_knowledge(
    workspace: Workspace, recipes: tuple[Recipe, ...], cohorts: tuple[CohortSet, ...], teachers: tuple[Checkpoint, ...]
) -> tuple[KnowledgeRef | None, ...]:
    """Return the knowledge of each recipe's teacher, None for recipes without an arm that reads a store."""
    asked = [index for index, recipe in enumerate(recipes) if reads_store(recipe)]
    calls = [(workspace, recipes[i].extraction(), cohorts[i], teachers[i]) for i in asked]
    found = dict(zip(asked, run_all(extraction.extract_knowledge, calls, title="knowledge"), strict=True))
    return tuple(found.get(index) for index in range(len(recipes)))


def reads_store(recipe: Recipe) -> bool:
    """Return whether an arm of a recipe reads a store."""
    return any(arm.knowledge == "store" for arm in recipe.arms.values())


@orchestrated
def extract_and_register(workspace: Workspace, recipe: Recipe) -> tuple[ModelRef, KnowledgeRef]:
    """Train, judge and score a recipe's teacher, ask it about every case, and register it and what it knows."""
    cohorts = prepare(workspace, (recipe,))
    teachers = train_teacher(workspace, (recipe,), cohorts)
    judged = evaluate(workspace, (recipe,), cohorts, (teachers,))
    knowledge = run_all(extraction.extract_knowledge, [(workspace, recipe.extraction(), cohorts[0], teachers[0])], title="knowledge")[0]
    registered = register(workspace, (recipe,), cohorts, (teachers,), (judged[0].scorecards,), ((),))
    return register_knowledge(workspace, (recipe,), registered, (knowledge,))[0], knowledge
