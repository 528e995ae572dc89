"""Networks that were trained by compression as versions of their own, below the teacher of the student that they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from data_contracts import Checkpoint, CompressionReport, MadeForm, ModelRef, RegistryError, TrainingManifest, load_record
from medkd.compression.candidates import CompressionSource
from medkd.compression.register_forms import attach_compression, is_trained
from medkd.promotion.version_records import FORM, ORIGIN
from medkd.registry.descent import teachers_of
from medkd.registry.interface import TRAINING_MANIFEST, Registry
from medkd.registry.publish import open_registry, publication_of
from medkd.registry.recipe_result import RecipeResult
from medkd.storage.workspace import Workspace


def compressed_arm(arm: str, candidate: str) -> str:
    """Return the arm that a candidate of a student is called by: ``ARM-compressed_CANDIDATE``; two underscores would make it a control."""
    return f"{arm}-compressed_{candidate}"


def compressed_students(forms: Mapping[str, MadeForm], source: CompressionSource) -> dict[str, Checkpoint]:
    """Return the networks that become versions of their own, by candidate, under the names that they get."""
    return {
        name: form.checkpoint.model_copy(update={"arm": compressed_arm(source.checkpoint.arm, name)})
        for name, form in forms.items()
        if is_trained(form, source)
    }


def register_versions(
    workspace: Workspace,
    result: RecipeResult,
    source: CompressionSource,
    report: CompressionReport,
    folder: Path,
    registry: Registry | None = None,
) -> tuple[ModelRef, ...]:
    """Register the students of a result, each with its teacher, its origin and the table of the compression; idempotent.

    Args:
        workspace: where weights and records lie.
        result: recipe of the data, cohorts, and the compressed students with their scorecards.
        source: the version that they were made of.
        report: table of the compression.
        folder: its files.
        registry: another than the workspace's.

    Raises:
        RegistryError: ``NO_TRAINING_MANIFEST``: whose data the version has seen must be known.
    """
    target = registry or open_registry(workspace)
    path = target.fetch(source.model.uri)[1] / TRAINING_MANIFEST
    if not path.is_file():
        raise RegistryError("NO_TRAINING_MANIFEST", f"expected {TRAINING_MANIFEST} in {source.model.uri}, it has none: register it again")
    manifest = load_record(path, TrainingManifest)
    models = []
    for student in result.students:
        publication = publication_of(workspace, result, student, teachers_of(source.model), manifest)
        form = student.arm.removeprefix(compressed_arm(source.checkpoint.arm, ""))
        tags = {**publication.tags, ORIGIN: str(source.model.lineage), FORM: form}
        model = target.register(replace(publication, tags=tags))
        attach_compression(target, model, report, folder)
        models.append(model)
    return tuple(models)
