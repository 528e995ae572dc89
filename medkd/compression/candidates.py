"""What a compression recipe stands for: which candidates can be made at all, which are trained under which seeds, and of which version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from data_contracts import (
    Candidate,
    Checkpoint,
    CohortSet,
    CompressionError,
    CompressionRecipe,
    FormRefusal,
    MissingDependencyError,
    ModelRef,
    Recipe,
    Role,
    Subset,
    TrainingSpec,
    require_kind,
)
from medkd.compression.compress_network import compress_checkpoint, require_compressible
from medkd.compression.make_form import BASELINES
from medkd.compression.quantise import import_nncf
from medkd.registry.interface import Registry
from medkd.registry.load_version import adopt
from medkd.registry.publish import open_registry
from medkd.serving.openvino_network import import_openvino
from medkd.storage.workspace import Workspace


@dataclass(frozen=True)
class CompressionSource:
    """The version that is compressed, its weights in the run's store.

    Attributes:
        model: the version.
        checkpoint: of its network.
        teacher: that it was distilled from; None where its lineage names none.
    """

    model: ModelRef
    checkpoint: Checkpoint
    teacher: Checkpoint | None


def fetch_source(workspace: Workspace, registry: Registry, recipe: CompressionRecipe, cohorts: CohortSet) -> CompressionSource:
    """Return the version that a recipe names and its teacher, every byte verified.

    Raises:
        CompressionError: ``NOT_A_STUDENT``; ``TWO_HEADS``; ``RECIPE_FOREIGN`` for a version that was trained on other cases than the recipe's.
        RegistryError: ``MODEL_URI``, ``VERSION_UNKNOWN``, ``VERSION_ALTERED``.
    """
    model, own, teacher = adopt(workspace, registry, recipe.model)
    require_kind(own.task, "compression")
    if own.task.case_classes:
        raise CompressionError(
            "TWO_HEADS", f"expected a network with one head to compress, {model.uri} classifies cases too: its forms would not"
        )
    if own.role is not Role.STUDENT:
        raise CompressionError(
            "NOT_A_STUDENT", f"expected a student to compress, {model.uri} is a {own.role.value}: distil one of it first"
        )
    use = cohorts.uses.get(Subset.STUDENT_TRAIN.of(own.seed))
    if use is None or use.cohort.sha256 != own.cohort_digest:
        raise CompressionError(
            "RECIPE_FOREIGN",
            f"expected a version that was trained on the data of the recipe {recipe.recipe!r}, {model.uri} was trained on the cohort "
            f"{own.cohort_digest[:12]}: name its recipe, its data (MEDKD_DATA) and the site's secret",
        )
    return CompressionSource(model, own, teacher if model.teacher is not None else None)


def fetch_registered(workspace: Workspace, recipe: CompressionRecipe, cohorts: CohortSet) -> CompressionSource:
    """As :func:`fetch_source`, of the workspace's own registry."""
    return fetch_source(workspace, open_registry(workspace), recipe, cohorts)


def checked_candidates(recipe: CompressionRecipe, checkpoint: Checkpoint) -> dict[str, FormRefusal]:
    """Return the candidates that cannot be made of a version, with the reason, before anything is computed.

    Raises:
        MissingDependencyError: ``OPENVINO_MISSING``, ``NNCF_MISSING``, ``PRUNING_LIBRARY``: a library that a candidate needs.
    """
    refused = {}
    for name, candidate in recipe.candidates.items():
        require_libraries(candidate)
        try:
            require_compressible(checkpoint.network, checkpoint.task, candidate)
        except CompressionError as error:
            refused[name] = FormRefusal(code=error.code, why=str(error))
    return refused


def require_libraries(candidate: Candidate) -> None:
    """Refuse a candidate whose libraries are not installed; errors as :func:`checked_candidates`."""
    if candidate.runtime == "openvino":
        import_openvino()
        if candidate.quantise is not None:
            import_nncf()


def baselines() -> Mapping[str, Candidate]:
    """Return the version itself as it is asked by each runtime that is installed."""
    try:
        import_openvino()
    except MissingDependencyError:
        return {name: candidate for name, candidate in BASELINES.items() if name != "openvino"}
    return BASELINES


def seeds_of(recipe: CompressionRecipe, candidate: Candidate) -> tuple[int, ...]:
    """Return the seeds that a candidate is made under: one where nothing is trained."""
    return recipe.seeds if candidate.tune is not None else recipe.seeds[:1]


def train_candidate(
    workspace: Workspace,
    training: tuple[TrainingSpec, CohortSet],
    origin: Checkpoint,
    teacher: Checkpoint | None,
    candidate: Candidate,
    seed: int,
) -> Checkpoint:
    """As :func:`medkd.compression.compress_network.compress_checkpoint`, as tasks are called: by position."""
    return compress_checkpoint(workspace, training, origin, teacher, candidate, seed=seed)


def training_of(data: Recipe, checkpoint: Checkpoint) -> TrainingSpec:
    """Return how a version was trained, by the recipe of its data.

    Raises:
        CompressionError: ``RECIPE_FOREIGN`` when that has no such arm.
    """
    if checkpoint.arm not in data.arms:
        raise CompressionError(
            "RECIPE_FOREIGN",
            f"expected an arm {checkpoint.arm!r} in the recipe {data.name!r}, it has {', '.join(data.arms)}: name the version's own",
        )
    # Cases are opened as the version sees them: what its teacher sees beside is not shown here.
    return data.student_training(checkpoint.arm, checkpoint.seed).model_copy(update={"shown": None})
