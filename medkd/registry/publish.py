"""Stages that register: checkpoints with their cards and scorecards, then what was explained and reported beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_contracts import (
    Calibration,
    Checkpoint,
    CohortSet,
    ExplanationBundle,
    Inspection,
    LeakageError,
    Lineage,
    LossStatement,
    ModelRef,
    Registered,
    RegistryError,
    Role,
    SanityReport,
    Subset,
    TrainingManifest,
    has_served_form,
    load_record,
    network_called,
)
from medkd.cohorts.split import TESTS, require_clean, require_unseen
from medkd.cohorts.tensor_cohort import patients_of
from medkd.models._load import load_network
from medkd.registry.card_text import card_text
from medkd.registry.interface import CASES_TAG, FURTHER_TEACHERS_TAG, KNOWLEDGE_TAG, NO_KNOWLEDGE, TRAINING_MANIFEST, Publication, Registry
from medkd.registry.model_card import model_card, registered_domain
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.recipe_run import RecipeRun, recipe_run_of, tracked_training
from medkd.registry.recipe_summary import recipe_summary, seed_figures
from medkd.registry.register_knowledge import register_knowledge
from medkd.registry.training_features import attach_training_features
from medkd.registry.version_files import CALIBRATION as CALIBRATION
from medkd.registry.version_files import CARD, CASE_RESULTS, LOSS_PICTURE, LOSS_STATEMENT, RELIABILITY
from medkd.registry.version_files import load_calibration as load_calibration
from medkd.registry.version_files import open_registry as open_registry
from medkd.registry.version_files import pack_archive as pack_archive
from medkd.serving.form import PackedForm
from medkd.storage.manifest import pack_model
from medkd.storage.metrics_log import TIME, MetricsLog
from medkd.storage.shared_results import bring_metrics
from medkd.storage.store import write_bytes
from medkd.storage.workspace import Workspace


def register_models(
    workspace: Workspace, result: RecipeResult, registry: Registry | None = None, run: RecipeRun | None = None
) -> Registered:
    """Register the teacher and then every student with its lineage. Idempotent: an existing manifest is not registered again.

    Students that learned from the knowledge of a teacher that is not here are registered below that teacher. A version carries its scorecard,
    and its calibration, per-case results and loss statement where the recipe left any. With the ``run`` of its recipe each is shown below that.

    Raises:
        LeakageError: ``NO_CLEAN_CERTIFICATE`` when a cohort's certificate is not clean, ``TEACHER_SAW_TEST_PATIENTS`` when a
            student would be tested on patients that its teacher was trained on.
    """
    cohorts, knowledge = result.cohorts, result.knowledge
    require_clean(cohorts, before="registration")
    target = registry or open_registry(workspace)
    models: list[ModelRef] = []
    for checkpoint in teachers_first(result.models):
        if result.recipe.teacher.registered is not None and checkpoint == result.teacher:
            models.append(target.fetch(result.recipe.teacher.registered)[0])  # it is a version already, of whoever trained it
            continue
        teacher = next((m for m in models if m.weights_digest == checkpoint.teacher_digest), None)
        manifest, above = training_manifest(workspace, cohorts, checkpoint), teachers_above(target, result, models, checkpoint)
        for _, seen in above:
            tested = patients_of(cohorts, [subset for subset in TESTS if subset in cohorts.uses], workspace.store)
            require_unseen(seen, tested, student=f"{result.recipe.name}-{checkpoint.arm}")
            manifest = manifest.model_copy(update={"patients": tuple(sorted({*manifest.patients, *seen.patients}))})
        if teacher is not None and _reads_store(result, checkpoint) and result.knowledge_version is None and knowledge is not None:
            # Before the student: its version names what it learned from.
            version = register_knowledge(workspace, result.recipe.name, teacher, knowledge, target).lineage
            result = replace(result, knowledge_version=version)
        lineages = tuple(lineage for lineage, _ in above)
        publication = publication_of(workspace, result, checkpoint, lineages, manifest)
        models.append(target.register(publication if run is None else _in_run(workspace, result, checkpoint, publication, run)))
    return Registered(models=tuple(models))


def teachers_first(models: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Return networks by role, arm and seed, each after those of them that it learned from."""
    waiting = sorted(models, key=lambda one: (one.role is not Role.TEACHER, one.arm, one.seed))
    done: list[Checkpoint] = []
    while waiting:
        left = {one.weights_digest for one in waiting}
        # Two that are equal in every bit would wait for each other: then the first goes.
        ready = next(
            (one for one in waiting if not {one.teacher_digest, *one.further_teacher_digests} & (left - {one.weights_digest})), waiting[0]
        )
        waiting.remove(ready)
        done.append(ready)
    return done


def teachers_above(
    registry: Registry, result: RecipeResult, models: Sequence[ModelRef], checkpoint: Checkpoint
) -> tuple[tuple[Lineage, TrainingManifest], ...]:
    """Return the registered versions that a network learned from and whom each has seen, in the order of its arm.

    A teacher that is not here is known by what it stored.

    Raises:
        RegistryError: ``TEACHER_MISSING`` when a further teacher is neither registered nor known by its knowledge.
        LeakageError: ``NO_TRAINING_MANIFEST``.
    """
    known = {model.weights_digest: model for model in models}
    stored = {one.teacher_digest: one for one in (result.knowledge, *result.further_knowledge) if one is not None}
    found: list[tuple[Lineage, TrainingManifest]] = []
    for digest in (checkpoint.teacher_digest, *checkpoint.further_teacher_digests):
        record = stored.get(digest or "")
        if digest in known:
            found.append((known[digest].lineage, _manifest_of(registry, known[digest])))
        elif record is not None and record.teacher is not None:
            found.append((record.teacher, TrainingManifest(cohorts=record.cohorts, patients=record.patients)))
        elif digest in checkpoint.further_teacher_digests:
            raise RegistryError(
                "TEACHER_MISSING",
                f"expected every teacher of {checkpoint.arm} to be registered before it, the weights {str(digest)[:12]} are not",
            )
    return tuple(found)


def _reads_store(result: RecipeResult, checkpoint: Checkpoint) -> bool:
    """Return whether a network learned from the knowledge of a result and not from a live teacher."""
    knowledge = result.knowledge
    if knowledge is None or checkpoint.role is not Role.STUDENT or checkpoint.teacher_digest != knowledge.teacher_digest:
        return False
    return result.recipe.arms[checkpoint.arm].knowledge == "store"


def training_manifest(workspace: Workspace, cohorts: CohortSet, checkpoint: Checkpoint) -> TrainingManifest:
    """Return whose data a checkpoint was trained on, as the cohorts of its run say."""
    subsets = (
        [Subset.TEACHER_TRAIN]
        if checkpoint.role is Role.TEACHER
        else [Subset.learnt_from(checkpoint.cases, checkpoint.seed), Subset.UNLABELLED.of(checkpoint.seed)]
    )
    used = [subset for subset in subsets if subset in cohorts.uses]
    digests = tuple(sorted({cohorts.uses[subset].cohort.sha256 for subset in used}))
    return TrainingManifest(cohorts=digests, patients=tuple(sorted(patients_of(cohorts, used, workspace.store))))


def _manifest_of(registry: Registry, model: ModelRef) -> TrainingManifest:
    """Return the training manifest of a registered version.

    Raises:
        LeakageError: ``NO_TRAINING_MANIFEST``: whom a teacher has seen must be known before its student is tested.
    """
    path = registry.fetch(model.uri)[1] / TRAINING_MANIFEST
    if not path.is_file():
        raise LeakageError("NO_TRAINING_MANIFEST", f"expected {TRAINING_MANIFEST} in {model.uri}, it has none: register the teacher again")
    return load_record(path, TrainingManifest)


def publication_of(
    workspace: Workspace, result: RecipeResult, checkpoint: Checkpoint, lineages: tuple[Lineage, ...], manifest: TrainingManifest
) -> Publication:
    """Return what is registered of a network: its package, and what is said of it.

    Args:
        workspace: where its weights and records lie.
        result: of its recipe.
        checkpoint: of the network.
        lineages: of its teachers, in the order of its arm; none of a network that learned from nobody.
        manifest: whose data it and its teacher were trained on.
    """
    recipe = result.recipe
    scorecard = next(card for card in result.scorecards if card.subject == f"{recipe.name}/{checkpoint.arm}")
    calibration = next((one for one in result.calibrations if one.weights_digest == checkpoint.weights_digest), None)
    cases = next((one for one in result.case_results if one.weights_digest == checkpoint.weights_digest), None)
    loss = next((one for one in result.loss_statements if one.weights_digest == checkpoint.weights_digest), None)
    if checkpoint.domain is not None:
        checkpoint = checkpoint.model_copy(update={"domain": registered_domain(recipe, checkpoint.domain)})
    folder = workspace.root / "packages" / f"{recipe.name}-{checkpoint.arm}-{checkpoint.seed}"
    card = model_card(result, checkpoint, lineages, calibration, (manifest, workspace.data_root))
    for left in (
        CALIBRATION,
        RELIABILITY,
        CASE_RESULTS,
        LOSS_STATEMENT,
        LOSS_PICTURE,
    ):  # of a package of that name from before, which may have had them
        (folder / left).unlink(missing_ok=True)
    pack_model(
        folder,
        {
            "weights.safetensors": workspace.store.path(checkpoint.weights).read_bytes(),
            # No wall-clock value is part of a version: the same training gives the same digest.
            "checkpoint.json": checkpoint.without_measured().canonical_json(),
            CARD: card.canonical_json(),
            TRAINING_MANIFEST: manifest.canonical_json(),
            "scorecard.json": scorecard.model_copy(update={"train_seconds": None, "latency_ms": None}).canonical_json(),
            **_with_picture(workspace, calibration, CALIBRATION, RELIABILITY),
            **({} if cases is None else {CASE_RESULTS: cases.canonical_json()}),
            **_with_picture(workspace, loss, LOSS_STATEMENT, LOSS_PICTURE),
        },
    )
    history = tuple(MetricsLog(journal_of(workspace, recipe.name, checkpoint)).read())
    return Publication(
        name=card.name,
        folder=folder,
        role=checkpoint.role,
        weights_digest=checkpoint.weights_digest,
        seed=checkpoint.seed,
        tags=_tags(result, checkpoint, lineages),
        params={
            "recipe": recipe.name,
            "arm": checkpoint.arm,
            "seed": str(checkpoint.seed),
            "network": checkpoint.network.builder,
            "precision": checkpoint.precision or "unknown",
        },
        metrics={
            "train_seconds": checkpoint.train_seconds,
            **({} if checkpoint.cost is None else checkpoint.cost.metrics()),
            **seed_figures(scorecard, checkpoint.seed),
            **({} if loss is None else {f"loss_{axis.value}": item.loss.mean for axis, item in loss.worst().items()}),
        },
        history=history,
        measured_at=history[-1].get(TIME) if history else None,
        description=card_text(card, scorecard, loss, checkpoint.cost),
        form=(lambda: _pack_form(workspace, checkpoint, folder.with_name(f"{folder.name}-serving")))
        if has_served_form(checkpoint.task)
        else None,
    )


def _tags(result: RecipeResult, checkpoint: Checkpoint, lineages: tuple[Lineage, ...]) -> dict[str, str]:
    return {
        "medkd.recipe_digest": checkpoint.recipe_digest,
        "medkd.cohort_digest": checkpoint.cohort_digest,
        "medkd.split_digest": result.cohorts.digest(),
        "medkd.arm": checkpoint.arm,
        "medkd.seed": str(checkpoint.seed),
        "medkd.use": "research only",
        **({} if checkpoint.cases == "real" else {CASES_TAG: checkpoint.cases}),
        **({"medkd.teacher": str(lineages[0]), **_knowledge_tag(result, checkpoint)} if lineages else {}),
        **({FURTHER_TEACHERS_TAG: " ".join(map(str, lineages[1:]))} if lineages[1:] else {}),
    }


def journal_of(workspace: Workspace, recipe: str, checkpoint: Checkpoint) -> Path:
    """Return where the metrics of a checkpoint's training lie."""
    return workspace.root / "training" / recipe / checkpoint.run_name / "metrics.jsonl"


def _knowledge_tag(result: RecipeResult, checkpoint: Checkpoint) -> dict[str, str]:
    version = result.knowledge_version if _reads_store(result, checkpoint) else None
    # At a site that fetched all of it an arm with a trained teacher reads a store.
    version = next((one.version for one in result.fetched if one.record.teacher_digest == checkpoint.teacher_digest), version)
    return {KNOWLEDGE_TAG: NO_KNOWLEDGE if version is None else str(version)}


def _in_run(workspace: Workspace, result: RecipeResult, checkpoint: Checkpoint, publication: Publication, run: RecipeRun) -> Publication:
    """Return a publication as part of its recipe's run, with the whole configuration of its training and its data sets."""
    recipe = result.recipe
    is_teacher = checkpoint.role is Role.TEACHER
    spec = (
        recipe.teacher_training(network_called(recipe, checkpoint.arm))
        if is_teacher
        else recipe.student_training(checkpoint.arm, checkpoint.seed)
    )
    training = tracked_training(workspace, run, spec, result.cohorts)
    return replace(publication, training=replace(training, params={**training.params, **publication.params}))


def _pack_form(workspace: Workspace, checkpoint: Checkpoint, folder: Path) -> PackedForm:
    from medkd.serving.pack_form import pack_form  # brings the exporter, which only a version that is new needs

    return pack_form(folder, load_network(workspace, checkpoint), checkpoint.task)


def _with_picture(workspace: Workspace, record: Calibration | LossStatement | None, name: str, picture: str) -> dict[str, bytes]:
    """Return the files of a record and of its picture, where there are any."""
    if record is None:
        return {}
    drawn = {} if record.picture is None else {picture: workspace.store.path(record.picture).read_bytes()}
    return {name: record.canonical_json(), **drawn}


def attach_explanations(workspace: Workspace, registry: Registry, model: ModelRef, bundle: ExplanationBundle) -> None:
    """Put a bundle beside its version: maps and index in one archive, at most twenty previews, its digest as a tag."""
    archive = workspace.root / "bundles" / f"{model.name}-{model.version}.zip"
    maps = {explanation.array.key: explanation.array for explanation in bundle.explanations}
    packed = {Path(key).name: workspace.store.path(ref).read_bytes() for key, ref in sorted(maps.items())}
    pack_archive(archive, {"index.json": bundle.canonical_json(), **packed})
    tags = {
        "medkd.explanations": bundle.digest(),
        "medkd.failed_explainers": ",".join(bundle.failed_explainers) or "none",
        **{f"medkd.sanity.{report.explainer}": _verdict(report) for report in bundle.sanity_reports},
    }
    previews = [workspace.store.path(preview) for preview in bundle.previews]
    registry.attach(model, {"explanations": archive, "previews": previews}, tags)


def _verdict(report: SanityReport) -> str:
    failed = [check.name for check in report.checks if check.passed is False]
    return "passed" if report.trusted else f"failed: {', '.join(failed)}"


def attach_inspection(workspace: Workspace, registry: Registry, model: ModelRef, inspection: Inspection) -> None:
    """Put an inspection beside its version: record, arrays and picture, its digest as a tag."""
    record = workspace.root / "inspections" / f"{model.name}-{model.version}.json"
    write_bytes(record, inspection.canonical_json())
    files = [record, workspace.store.path(inspection.array), workspace.store.path(inspection.picture)]
    registry.attach(model, {"inspection": files}, {"medkd.inspection": inspection.digest()})


def register_everything(
    workspace: Workspace, results: tuple[RecipeResult, ...], registry: Registry | None = None
) -> tuple[Registered, ...]:
    """Register the models of several recipes, each explanation bundle beside the student it explains, and end the runs of the recipes."""
    target = registry or open_registry(workspace)
    done = []
    for result in results:
        run = recipe_run_of(workspace, result.recipe)
        for checkpoint in result.models:
            bring_metrics(workspace, checkpoint.weights_digest, journal_of(workspace, result.recipe.name, checkpoint))
        registered = register_models(workspace, result, target, run)
        for bundle in result.bundles:
            model = next(m for m in registered.models if m.weights_digest == bundle.weights_digest)
            attach_explanations(workspace, target, model, bundle)
        for record in result.training_features:
            model = next(m for m in registered.models if m.weights_digest == record.weights_digest)
            attach_training_features(target, model, record, workspace.store.path(record.array).read_bytes())
        target.finish_recipe(run, *recipe_summary(workspace, result))
        done.append(registered)
    return tuple(done)
