"""A teacher from elsewhere becomes a registered version: read, rebuilt, its classes mapped, with where it comes from beside it."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import safetensors.torch

from data_contracts import (
    Checkpoint,
    ForeignSource,
    MedkdError,
    ModelCard,
    ModelRef,
    Ref,
    Role,
    SourceError,
    TeacherDescription,
    TrainingManifest,
)
from medkd.cohorts.case_table import patient_key
from medkd.foreign.found_teacher import FoundTeacher
from medkd.foreign.monai_bundle import looks_like_bundle, read_bundle
from medkd.foreign.nnunet_folder import looks_like_nnunet, read_nnunet
from medkd.foreign.plain_weights import read_description, read_plain
from medkd.foreign.source_files import SourceFiles, open_source
from medkd.knowledge.class_map import ClassMap
from medkd.models._build import parameter_count
from medkd.models._merged_classes import with_merged_classes
from medkd.registry.interface import TRAINING_MANIFEST, Publication, Registry
from medkd.registry.version_files import CARD
from medkd.serving.form import PackedForm
from medkd.storage.manifest import pack_model
from medkd.trace import has_closed_form

#: File of an imported version that says where it comes from.
SOURCE = "source.json"
#: Tag of such a version: the kind of its source.
SOURCE_TAG = "medkd.source"
UNKNOWN_PATIENTS = "Whose data it was trained on is not known: that a patient of a test was among them cannot be excluded."
NO_CLASS_MAP = "Its last layer is not linear: class maps cannot be computed in closed form, explainers by gradients and by hiding work."

Kind = Literal["auto", "bundle", "nnunet", "state-dict"]


@dataclass(frozen=True)
class ImportRequest:
    """What is imported, and how.

    Attributes:
        source: folder, zip, or file of weights.
        kind: of the source; ``auto`` looks.
        description: file with what the source does not say.
        class_map: classes of the version and the classes of the source that each stands for; empty for the source's own.
        folds: of an nnU-Net folder; empty for all.
        name: that it is registered by; None for the source's.
    """

    source: Path
    kind: Kind = "auto"
    description: Path | None = None
    class_map: Mapping[str, Sequence[str]] | None = None
    folds: tuple[str, ...] = ()
    name: str | None = None


@dataclass(frozen=True)
class ImportedTeacher:
    """What came of it.

    Attributes:
        model: the registered version.
        source: where it comes from.
        checkpoint: of its network.
        closed_form: whether class maps are closed-form.
    """

    model: ModelRef
    source: ForeignSource
    checkpoint: Checkpoint
    closed_form: bool


def import_teacher(registry: Registry, request: ImportRequest) -> ImportedTeacher:
    """Read a teacher and register it; the same source registers the same version once.

    Nobody has judged it then: the gate of a recipe does, on the recipe's validation patients, before a student copies it.

    Raises:
        SourceError: as the readers; KnowledgeError: ``CLASSES_DIFFER`` for a class map that does not fit.
    """
    description = read_description(request.description)
    with open_source(request.source) as files:
        found = in_classes(read_teacher(files, description, request), request.class_map or {})
        source = _source(found, files, description)
    weights = safetensors.torch.save({name: value.contiguous() for name, value in found.network.state_dict().items()})
    checkpoint = _checkpoint(found, source, weights)
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        form, failed = _form(found, Path(scratch) / "serving")
        source = source.model_copy(update={"caveats": (*source.caveats, *failed)})
        publication = _publication(request.name or description.name or _slug(found.name), checkpoint, source, Path(scratch) / "package")
        files_of = {"weights.safetensors": weights, SOURCE: source.canonical_json(), "checkpoint.json": checkpoint.canonical_json()}
        manifest = TrainingManifest(cohorts=(), patients=tuple(sorted(map(patient_key, description.patients))))
        card = _card(publication.name, checkpoint, source)
        pack_model(publication.folder, {**files_of, CARD: card.canonical_json(), TRAINING_MANIFEST: manifest.canonical_json()})
        model = registry.register(replace(publication, form=None if form is None else lambda: form))
    return ImportedTeacher(model, source, checkpoint, has_closed_form(found.network))


def read_teacher(files: SourceFiles, description: TeacherDescription, request: ImportRequest) -> FoundTeacher:
    """Return the teacher of opened files; errors as the readers'.

    Raises:
        SourceError: ``SOURCE_KIND`` where nothing of the three is recognised.
    """
    is_file = request.source.is_file() and request.source.suffix.lower() != ".zip"
    kind = request.kind
    if kind == "auto":
        kind = "state-dict" if is_file else "nnunet" if looks_like_nnunet(files) else "bundle" if looks_like_bundle(files) else "auto"
    if kind == "auto" or (kind == "state-dict") != is_file:
        raise SourceError(
            "SOURCE_KIND",
            f"expected a bundle (configs/metadata.json), an nnU-Net folder (plans.json, fold_0) or a file of weights, {request.source.name} is not "
            f"{'one' if kind == 'auto' else 'a ' + kind}; name the folder or file itself",
        )
    if kind == "nnunet":
        return read_nnunet(files, description, request.folds)
    return read_bundle(files, description) if kind == "bundle" else read_plain(files, description)


def in_classes(found: FoundTeacher, class_map: Mapping[str, Sequence[str]]) -> FoundTeacher:
    """Return a teacher that answers in other classes; itself without a map.

    Raises:
        KnowledgeError: ``CLASSES_DIFFER``.
    """
    mapping = ClassMap.between(found.task.classes, tuple(class_map), class_map) if class_map else None
    if mapping is None:
        return found
    network = with_merged_classes(found.network, mapping.groups).eval()
    spec = found.spec.model_copy(update={"class_groups": mapping.groups})
    said = ", ".join(f"{name} is {' or '.join(names)}" for name, names in class_map.items())
    task = found.task.model_copy(update={"classes": tuple(class_map)})
    return replace(found, network=network, spec=spec, task=task, caveats=(*found.caveats, f"Its classes were mapped: {said}."))


def _source(found: FoundTeacher, files: SourceFiles, description: TeacherDescription) -> ForeignSource:
    known = bool(description.patients)
    caveats = (*found.caveats, *(() if known else (UNKNOWN_PATIENTS,)), *(() if has_closed_form(found.network) else (NO_CLASS_MAP,)))
    return ForeignSource(
        kind=found.kind,
        name=found.name,
        version=description.version or found.version,
        authors=description.authors or found.authors,
        licence=description.licence or found.licence,
        files=dict(sorted(files.read.items())),
        classes=found.task.classes,
        members=found.members,
        training_patients_known=known,
        caveats=caveats,
    )


def _checkpoint(found: FoundTeacher, source: ForeignSource, weights: bytes) -> Checkpoint:
    digest = hashlib.sha256(weights).hexdigest()
    return Checkpoint(
        role=Role.TEACHER,
        arm="teacher",
        seed=0,
        network=found.spec,
        task=found.task,
        weights=Ref(store="imported", key=f"imported/{digest[:12]}.safetensors", sha256=digest),
        weights_digest=digest,
        cohort_digest="",
        recipe_digest=source.digest(),
        parameters=parameter_count(found.network),
        epochs=found.epochs,
    )


def _card(name: str, checkpoint: Checkpoint, source: ForeignSource) -> ModelCard:
    return ModelCard(
        name=name,
        role=Role.TEACHER,
        task=checkpoint.task,
        parameters=checkpoint.parameters,
        cohort_digest="",
        recipe_digest=checkpoint.recipe_digest,
        limits=(_origin(source), "It was not measured here: the gate of a recipe judges it before students copy it.", *source.caveats),
    )


def _origin(source: ForeignSource) -> str:
    of = {"bundle": "a MONAI Bundle", "nnunet": "a results folder of nnU-Net v2", "state-dict": "a plain file of weights"}[source.kind]
    by = f" by {source.authors}" if source.authors else ""
    version = f", version {source.version}" if source.version else ""
    return f"It was trained elsewhere and comes from {of}, {source.name}{version}{by}; licence: {source.licence or 'not said'}."


def _publication(name: str, checkpoint: Checkpoint, source: ForeignSource, folder: Path) -> Publication:
    lines = [f"**{ModelCard.model_fields['intended_use'].default}**", "", *(f"- {line}" for line in (_origin(source), *source.caveats))]
    return Publication(
        name=name,
        folder=folder,
        role=Role.TEACHER,
        weights_digest=checkpoint.weights_digest,
        tags={
            "medkd.recipe_digest": checkpoint.recipe_digest,
            "medkd.cohort_digest": "",
            "medkd.arm": "teacher",
            "medkd.seed": "0",
            "medkd.use": "research only",
            SOURCE_TAG: source.kind,
            "medkd.source_digest": source.digest(),
        },
        params={"recipe": "", "arm": "teacher", "seed": "0", "network": checkpoint.network.builder, "precision": "unknown"},
        description="\n".join(lines) + "\n",
    )


def _form(found: FoundTeacher, folder: Path) -> tuple[PackedForm | None, tuple[str, ...]]:
    """Return the serving form of a network; none, and why, of one that cannot be exported: it can be a teacher all the same."""
    from medkd.serving.pack_form import pack_form  # brings the exporter

    try:
        return pack_form(folder, found.network, found.task), ()
    except MedkdError as error:
        return None, (f"It has no serving form: {' '.join(str(error).split())[:200]}",)


def _slug(name: str) -> str:
    """Return a name that a registered model may have."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return found or "imported-teacher"
