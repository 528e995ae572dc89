"""What the students of a seed begin with: weights of a registered version, of a file, or of a training without labels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch

from data_contracts import CohortSet, KnowledgeError, PretrainedStart, Recipe, RecipeError, StartingWeights, Subset
from medkd.foreign.safe_weights import read_state_dict
from medkd.registry.load_version import adopt
from medkd.registry.publish import open_registry
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace
from medkd.training.pretrain import pretrain


def starting_weights(workspace: Workspace, recipe: Recipe, seed: int, cohorts: CohortSet) -> StartingWeights:
    """Return the weights that arms with ``init: pretrained`` begin with under a seed.

    Args:
        workspace: where files go.
        recipe: with ``student.pretrained`` or ``student.pretraining``.
        seed: of the students.
        cohorts: of the recipe; only what the students of that seed may learn from is looked at.

    Raises:
        RecipeError: ``STARTING_WEIGHTS_MISSING`` for a file that is not there.
        SourceError: ``WEIGHTS_UNSAFE``, ``WEIGHTS_UNREADABLE``; RegistryError: as ``Registry.fetch``.
    """
    start = recipe.student.pretrained
    if start is None:
        seen = [subset for subset in (Subset.STUDENT_TRAIN.of(seed), Subset.UNLABELLED.of(seed)) if subset in cohorts.uses]
        return pretrain(workspace, recipe.pretraining(seed), cohorts.only(*seen))
    return _of_version(workspace, recipe, start) if start.source.startswith("models:/") else _of_file(workspace, recipe, start)


def _of_version(workspace: Workspace, recipe: Recipe, start: PretrainedStart) -> StartingWeights:
    model, checkpoint, _ = adopt(workspace, open_registry(workspace), start.source)
    if checkpoint.network.builder != recipe.student.network.builder:
        raise KnowledgeError(
            "STARTING_WEIGHTS_MISMATCH",
            f"expected weights of {recipe.student.network.builder}, {start.source} is {checkpoint.network.builder}: name a version of the student's network",
        )
    return StartingWeights(
        source=str(model.lineage),
        weights=checkpoint.weights,
        layers=start.layers,
        mismatched=start.mismatched,
        skip_head=checkpoint.task.classes != recipe.task.classes,
    )


def _of_file(workspace: Workspace, recipe: Recipe, start: PretrainedStart) -> StartingWeights:
    path = Path(workspace.data_root) / start.source
    if not path.is_file():
        raise RecipeError(
            "STARTING_WEIGHTS_MISSING",
            f"expected the file of student.pretrained of {recipe.name} at {start.source} below the folder of the data, there is none; set MEDKD_DATA",
        )
    payload = safetensors.torch.save({name: value.contiguous() for name, value in read_state_dict(path).items()})
    key = f"adopted/{hashlib.sha256(payload).hexdigest()}.safetensors"
    write_bytes(workspace.store.root / key, payload)
    return StartingWeights(source=start.source, weights=workspace.store.refer(key), layers=start.layers, mismatched=start.mismatched)
