"""Explanations of registered models: asked of the registry, kept in the workspace, put beside the version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_contracts import (
    Checkpoint,
    CohortSet,
    DataError,
    ExplainSpec,
    ExplanationBundle,
    ExplanationError,
    ExplanationRequest,
    Inspection,
    MedkdError,
    ModelRef,
    RefusedSeries,
    VolumeRef,
    load_record,
)
from data_contracts.private import private_folder
from medkd.cohorts.marked import marked_voxels
from medkd.cohorts.shards import seen_values
from medkd.explanation.artefact import LEAST_ID, RECORD, ask_registry, attach_study, find_kept, keep, read_explanation, replay
from medkd.explanation.defaults import with_defaults
from medkd.explanation.explain_cohort import asks_siblings, explain_cohort, replay_bundle, siblings_of
from medkd.explanation.explain_study import LoadedModel, StudyImages, explain_study
from medkd.explanation.inspect_model import inspect_model
from medkd.explanation.kept import EXPLANATIONS as EXPLANATIONS
from medkd.inference.further_images import read_further
from medkd.inference.series_caveats import series_caveats
from medkd.inference.training_caveats import require_permitted
from medkd.registry.interface import Registry
from medkd.registry.load_version import adopt
from medkd.registry.publish import attach_explanations, attach_inspection, open_registry
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace


def explain_registered(
    workspace: Workspace,
    images: tuple[VolumeRef, ...],
    store: Path,
    model_uri: str,
    request: ExplanationRequest,
    out: Path,
) -> Path:
    """Explain a study; the artefact goes to ``OUT/explanations/ID`` and beside the model version.

    Args:
        workspace: its tracking URI is the registry.
        images: ingested volumes: one, or of a model that sees several images those of one study, in the order of its channels.
        store: folder of their store.
        model_uri: ``models:/NAME/VERSION``.
        request: what is asked; without explainers the default ones of the model's task.
        out: folder of the results.

    Returns:
        The artefact's folder.

    Raises:
        DataError: ``MODALITY_FORBIDDEN`` for a study that the model's card forbids; ``CHANNEL_OUTSIDE`` for a further image that hardly reaches the
            first; ``TASK_INPUTS`` for a model that sees other images.
    """
    registry = open_registry(workspace)
    return _explain_by(workspace, registry, ask_registry(registry, model_uri), images, (store, out), request)


def explain_all_registered(
    workspace: Workspace, studies: tuple[tuple[VolumeRef, ...], ...], store: Path, model_uri: str, request: ExplanationRequest, out: Path
) -> tuple[Path | RefusedSeries, ...]:
    """Explain studies, each into a folder of its first series below ``out``; what the model cannot read is refused, and the others go on.

    Arguments as of :func:`explain_registered`, ``studies`` the images of each; the model is loaded once.
    """
    registry = open_registry(workspace)
    loaded = ask_registry(registry, model_uri)
    done: list[Path | RefusedSeries] = []
    for images in studies:
        key = images[0].series_key
        try:
            done.append(_explain_by(workspace, registry, loaded, images, (store, out / key), request))
        except MedkdError as error:
            done.append(RefusedSeries(series_key=key, code=error.code, reason=str(error)))
    return tuple(done)


def _explain_by(
    workspace: Workspace,
    registry: Registry,
    loaded: LoadedModel,
    images: tuple[VolumeRef, ...],
    places: tuple[Path, Path],
    request: ExplanationRequest,
) -> Path:
    """Explain a volume, the first of its study's images, from one place to another, and put the artefact beside the version."""
    volume, store = images[0], Store(places[0])
    require_permitted(volume, loaded.checkpoint.domain)
    seen = replace(read_volume(store, volume), further=read_further(volume, images[1:], store, loaded.checkpoint.task))
    made = explain_study(seen, loaded, with_defaults(request, loaded.checkpoint.task.kind), progress=workspace.progress)
    caveats = (*made.record.caveats, *series_caveats(loaded.series, images, places[0]))
    made = replace(made, record=made.record.model_copy(update={"caveats": caveats}))
    folder = keep(made, private_folder(places[1]) / EXPLANATIONS)
    attach_study(registry, loaded.model, folder)
    return folder


def explain_on_cohort(workspace: Workspace, spec: ExplainSpec, cohorts: CohortSet, model_uri: str, registry_uri: str) -> ExplanationBundle:
    """Explain a registered model, and its teacher, on the test cases of a recipe's data, and put the bundle beside the version.

    Args:
        workspace: of the cohorts.
        spec: its explainers, measures and number of cases.
        cohorts: prepared.
        model_uri: ``models:/NAME/VERSION``.
        registry_uri: of the registry that holds it.

    Raises:
        DataError: ``MODEL_TASK`` for a model of another task than the recipe's.
    """
    registry, (model, student, teacher) = _adopted(workspace, spec, model_uri, registry_uri)
    versions = registry.versions(model.name) if asks_siblings(spec) else ()
    others = [adopt(workspace, registry, one.uri)[1] for one in versions if one.version != model.version]
    bundle = explain_cohort(workspace, spec, cohorts, student, teacher, siblings_of(spec, student, others))
    attach_explanations(workspace, registry, model, bundle)
    return bundle


def inspect_on_cohort(workspace: Workspace, spec: ExplainSpec, cohorts: CohortSet, model_uri: str, registry_uri: str) -> Inspection:
    """Inspect a registered model beside its teacher on the test cases of a recipe's data, and put what is found beside the version.

    Args:
        workspace: of the cohorts.
        spec: its number of cases.
        cohorts: prepared.
        model_uri: ``models:/NAME/VERSION``.
        registry_uri: of the registry that holds it.

    Raises:
        DataError: ``MODEL_TASK`` for a model of another task than the recipe's.
    """
    registry, (model, student, teacher) = _adopted(workspace, spec, model_uri, registry_uri)
    inspection = inspect_model(workspace, spec, cohorts, student, teacher)
    attach_inspection(workspace, registry, model, inspection)
    return inspection


_INPUTS: dict[str, tuple[str, ...]] = {"channels": (), "clinical": ()}


def _adopted(
    workspace: Workspace, spec: ExplainSpec, model_uri: str, registry_uri: str
) -> tuple[Registry, tuple[ModelRef, Checkpoint, Checkpoint]]:
    registry = open_registry(replace(workspace, tracking_uri=registry_uri))
    found = adopt(workspace, registry, model_uri)
    # What a network sees of the recipe's images is its own.
    if found[1].task.model_copy(update=_INPUTS) != spec.task.model_copy(update=_INPUTS):
        raise DataError("MODEL_TASK", f"expected a model of the task of {spec.name}, {model_uri} was trained for another one")
    return registry, found


def find_bundle(folder: Path, wanted: str) -> tuple[Path, ExplanationBundle] | None:
    """Return the run folder and the bundle of a cohort's explanations that an id names, or one of its maps; None where none does."""
    for path in sorted(folder.rglob("stages/explain_cohort-*.json")) if len(wanted) >= LEAST_ID else ():
        bundle = load_record(path, ExplanationBundle)
        if any(one.digest().startswith(wanted) for one in (bundle, *bundle.explanations)):
            return path.parents[1], bundle
    return None


def replay_registered(workspace: Workspace, folder: Path, wanted: str, store: Path | None = None) -> tuple[Path, bool, dict[str, float]]:
    """Make an explanation again that lies anywhere below ``folder``; ``store`` holds its volume where none beside it does.

    Returns:
        Its folder, whether every bit is the same, and per map that is not its largest relative difference.

    Raises:
        ExplanationError: ``EXPLANATION_UNKNOWN``, or ``REPLAY_MODEL`` when the registry's version is not the one that was explained.
        StoreError: when the volume is gone or altered.
    """
    of_cohort = find_bundle(folder, wanted)
    if of_cohort is not None:
        root, bundle = of_cohort
        differs = replay_bundle(replace(workspace, root=root), bundle)
        return root, not differs, differs
    place = find_kept(folder, wanted)
    record, _ = read_explanation(place)
    # A report compares with the recipe's teacher, which the lineage of a student that was trained alone does not name.
    loaded = ask_registry(open_registry(workspace), record.model.uri, None if record.teacher is None else record.teacher.uri)
    for kept, found in ((record.model, loaded.model), (record.teacher, loaded.teacher)):
        if kept is not None and found is not None and found.manifest_digest != kept.manifest_digest:
            digests = f"manifest {kept.manifest_digest[:12]} as in {RECORD}, this registry has {found.manifest_digest[:12]}"
            raise ExplanationError("REPLAY_MODEL", f"expected {kept.uri} with {digests}")
    # Beside the artefact of a study, or of a run's reports beside the run's own store.
    stores = [Store(place.parents[1] / "store"), Store(place.parents[2] / "studies")]
    if store is not None:
        stores.insert(0, Store(store))
    source = next((one for one in stores if one.verify(record.volume.array)), stores[0])
    images, further = read_volume(source, record.volume), read_further(record.volume, record.further, source, loaded.checkpoint.task)
    again = replay(place, images.values, loaded, images.label, further)
    return place, again.same, again.differs


def read_volume(store: Store, volume: VolumeRef) -> StudyImages:
    """Return a volume's voxels (of a picture what is shown of it), and what its own labels mark where it has any."""
    return StudyImages(seen_values(volume, store), volume, marked_voxels(volume, store))
