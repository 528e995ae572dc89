"""Flow: students from registered knowledge, at a site that has never seen the teacher."""

from __future__ import annotations

from dataclasses import replace

from data_contracts import Recipe, Registered, Scorecard
from flows.distill import distill
from flows.evaluate import evaluate
from flows.orchestration import flow, submit_all, task
from flows.prepare import prepare
from flows.register import register
from medkd.registry.publish_knowledge import fetch_knowledge
from medkd.storage.workspace import Workspace
from medkd.training.recipes import reading_store

fetch = task(fetch_knowledge)


@flow
def distill_from_store(workspace: Workspace, recipe: Recipe, uri: str) -> tuple[Registered, tuple[Scorecard, ...]]:
    """Train every arm from knowledge, score the students and register them below the teacher that they learned from."""
    wanted = reading_store(recipe)
    knowledge = submit_all(fetch, [(workspace, uri)], title="fetch knowledge")[0]
    (prepared,) = prepare(workspace, (wanted,))
    # There is no teacher to compare with: each student is its own, and what compares is left out of the cards.
    (done,) = evaluate(workspace, distill(workspace, [replace(prepared, knowledge=knowledge)]))
    cards = tuple(card.without("agreement", "dice_to_teacher") for card in done.scorecards)
    done = replace(done, scorecards=cards, knowledge=knowledge)
    (registered,) = register(workspace, [done])
    return registered.require_registered(), cards
