"""A tiny untrained network in a registry of its own: what a test of a command needs where the figures do not matter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from torch import nn

from data_contracts import (
    CardNotes,
    Case,
    Checkpoint,
    Cohort,
    CohortSet,
    CohortUse,
    Data,
    NetworkSpec,
    Part,
    Role,
    Scorecard,
    Split,
    Task,
    TrainingDomain,
)
from medkd.models._build import build_network
from medkd.registry.publish import register_models
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import local_workspace


def register_tiny(
    folder: Path,
    task: Task,
    network: NetworkSpec,
    *,
    name: str = "tiny",
    domain: TrainingDomain | None = None,
    card_notes: CardNotes = CardNotes(),  # noqa: B008 - frozen
    prepare: Callable[[nn.Module], None] | None = None,
    data: Data | None = None,
) -> str:
    """Register a network of a task in the registry of a run's folder and return its address.

    ``prepare`` may change its weights first; ``data`` is what its recipe says of where cases come from.
    """
    workspace = local_workspace(folder)
    built = build_network(network, seed=3)
    if prepare is not None:
        prepare(built)
    weights = workspace.store.write_tensors(f"models/{name}.safetensors", built.state_dict())
    cases = (Case(case_key="c", patient_key="p-of-the-training", image=weights),)
    cohort = Cohort(name=name, origin="test", classes=task.classes, cases=cases, split=Split(parts={Part.TRAIN: ("c",)}))
    path = cohort.write(workspace.store.root / f"{name}.json")
    checkpoint = Checkpoint(
        role=Role.TEACHER, arm="teacher", seed=0, network=network, task=task, weights=weights, weights_digest=weights.sha256,
        cohort_digest=cohort.digest(), recipe_digest="d" * 64, parameters=1, epochs=1, domain=domain,
    )  # fmt: skip
    card = Scorecard(
        subject=f"{name}/teacher", role="teacher", cohort_digest=cohort.digest(), weights_digests=(weights.sha256,), seeds=(0,), figures={}
    )
    uses = {"teacher_train": CohortUse(cohort=workspace.store.refer(path.name), part=Part.TRAIN)}
    recipe = SimpleNamespace(
        name=name,
        teacher=SimpleNamespace(registered=None),
        card=card_notes,
        data=data,
        outside_training="caveat" if domain is None else domain.outside,
    )
    result = RecipeResult(recipe, CohortSet(uses=uses, certificates=()), teacher=checkpoint, scorecards=(card,))
    (model,) = register_models(workspace, result).models
    return model.uri
