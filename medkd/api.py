"""medkd in few names, for notebooks and other programs: ``import medkd``, then ``medkd.ingest``, ``medkd.distill``, ``medkd.load``.

Everything here is what the commands do, one step after another and without an orchestrator; what is written is written in the same places,
for its owner only, and can be gone on with by either. Errors are those of :mod:`data_contracts.errors`: a stable code and one sentence.
``docs/python_api.md`` shows each of them at work.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import nn

from data_contracts import (
    Calibration,
    Caveat,
    Checkpoint,
    DataError,
    DicomData,
    Entry,
    ExplanationRequest,
    FolderEvaluation,
    IngestPolicy,
    IngestReport,
    MedkdError,
    ModelRef,
    Recipe,
    StudyExplanation,
    Task,
    TaskKind,
    VolumeRef,
    student_rounds,
    teacher_rounds,
)
from data_contracts.private import privately
from medkd.catalogue import CATALOGUES
from medkd.cohorts.dicom_cohort import ingested_folder
from medkd.cohorts.external_dataset import FolderHints
from medkd.cohorts.prepare import prepare_cohorts, source_digest
from medkd.cohorts.shards import seen_values
from medkd.dicom.choose_volume import choose_volume
from medkd.dicom.confidentiality.publish import DeidentifyRequest, deidentify_folder
from medkd.dicom.confidentiality.secret import pseudonym, site_secret
from medkd.dicom.ingest import IngestRequest, ingest_with_site_secret
from medkd.dicom.ingest_cache import read_manifest
from medkd.dicom.study_folder import claim_study, empty_store
from medkd.evaluation.calibrate import calibrate
from medkd.evaluation.case_results import collect_case_results
from medkd.evaluation.compare import compare_arms
from medkd.evaluation.describe_training import describe_training
from medkd.evaluation.evaluate import evaluate_model, summarise
from medkd.evaluation.gate_teacher import judge_teacher, require_fit_teacher
from medkd.evaluation.loss_statement import state_loss
from medkd.evaluation.write_score import evaluate_folder
from medkd.explanation.artefact import read_explanation
from medkd.explanation.explain_cohort import explain_cohort
from medkd.explanation.of_registry import explain_registered
from medkd.inference.apply_calibration import apply, reaches_threshold
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.classify import class_logits, pictures_of
from medkd.inference.detect_study import FoundLesion, lesions_of_study
from medkd.inference.segment import prepare_study, segment
from medkd.inference.training_caveats import caveats_of_study, require_permitted
from medkd.models._heads import head_view
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.promotion.policy import read_policy
from medkd.promotion.promote import Promotion, Signatory, promote_signed
from medkd.promotion.rollback import Rollback
from medkd.promotion.rollback import rollback as _rollback
from medkd.recipe_calls import (
    by_arm,
    calibration_calls,
    card_calls,
    comparison_calls,
    evaluation_calls,
    explanation_calls,
    further_teacher_calls,
    gate_call,
    in_order,
    knowledge_calls,
    loss_calls,
    results_calls,
    say_stopped,
    starting_calls,
    student_calls,
    synthesis_calls,
    teacher_call,
    training_features_calls,
    with_knowledge,
)
from medkd.registry.adopt_teacher import registered_teacher
from medkd.registry.interface import ListedVersion, Registry
from medkd.registry.publish import load_calibrated, open_registry, register_everything
from medkd.registry.publish_knowledge import publish_knowledge
from medkd.registry.recipe_result import RecipeResult
from medkd.registry.search_models import search_models as _search_models
from medkd.registry.server import require_registry
from medkd.registry.ship_metrics import shipping
from medkd.released.install import install_released
from medkd.released.released_models import released_models
from medkd.storage.output import PHANTOM, RUN, STUDY_STORE, claim, require_apart, require_source
from medkd.storage.store import Store
from medkd.storage.workspace import Workspace, local_workspace
from medkd.synthesis.synthesise_cohorts import synthesise_cohorts
from medkd.training import train
from medkd.training.check_recipe import RecipeCheck
from medkd.training.check_recipe import check_recipe as _check_recipe
from medkd.training.extract_knowledge import extract_knowledge
from medkd.training.recipes import make_recipe
from medkd.training.recipes import read_recipe as _read_recipe
from medkd.training.starting_weights import starting_weights
from medkd.volumes.orientation import grid_of, ras_affine, require_space, save_nifti

__all__ = [
    "Explanation",
    "MedkdError",
    "Model",
    "Prediction",
    "Recipe",
    "check_recipe",
    "deidentify",
    "distill",
    "entries",
    "evaluate",
    "ingest",
    "install_models",
    "load",
    "promote",
    "read_recipe",
    "rollback",
    "search_models",
    "write_phantom",
]

PathLike = str | os.PathLike[str]


def write_phantom(out: PathLike, *, studies: int = 48, seed: int = 7, faults: bool = True) -> tuple[Path, ...]:
    """Write invented DICOM studies with lesion segmentations, to try things with.

    Args:
        out: folder to write to.
        studies: how many.
        seed: the same seed writes the same bytes.
        faults: also write what archives are full of: lost slices, strange files, broken headers.

    Returns:
        The folder of each study.

    Example:
        >>> len(medkd.write_phantom("two-studies", studies=2))
        2
    """
    folder = claim(Path(out), PHANTOM)
    _, written = write_phantom_dicom(folder, studies=studies, seed=seed, faults=faults)
    return tuple(study.folder for study in written)


def ingest(
    source: PathLike, out: PathLike, *, policy: IngestPolicy | None = None, nifti: bool = False, dry_run: bool = False
) -> IngestReport:
    """Verify, de-identify and store every series of a folder, file, archive or DICOMDIR; what is refused is quarantined with its reason.

    Args:
        source: where the DICOM is.
        out: store to write or extend.
        policy: what is done about findings; by default what each code says.
        nifti: also write each accepted volume as NIfTI.
        dry_run: judge everything, write nothing.

    Returns:
        What became of every file and series: ``report.summary()``, ``report.codes()``, ``report.series``.

    Raises:
        SourceError: there is no such source.
        OutputError: the store lies in the source, or the folder is somebody else's.

    Example:
        >>> report = medkd.ingest("dicom", "another-store")
        >>> report.series[0].flags
        ()
    """
    with privately():
        return ingest_with_site_secret(IngestRequest(Path(source), Path(out), policy or IngestPolicy(), nifti, dry_run))


def deidentify(
    source: PathLike,
    out: PathLike,
    *,
    quarantine_folder: PathLike | None = None,
    policy: IngestPolicy | None = None,
    vault: PathLike | None = None,
) -> IngestReport:
    """Write DICOM without what identifies anybody (PS3.15 Annex E); a study with a leak is not published.

    Args:
        source: where the DICOM is.
        out: folder to hand on.
        quarantine_folder: for what is refused and the report, which are not handed on; by default ``OUT.quarantine``.
        policy: what is done about findings.
        vault: folder that keeps, encrypted, whose studies these were; by default nothing keeps it.
    """
    place = None if quarantine_folder is None else Path(quarantine_folder)
    request = DeidentifyRequest(Path(source), Path(out), place, policy or IngestPolicy(), vault=None if vault is None else Path(vault))
    with privately():
        return deidentify_folder(request, secret=site_secret())


def entries(kind: Literal["losses", "explainers", "measures", "networks"]) -> tuple[dict[str, Any], ...]:
    """Return what a catalogue holds: name, summary, options, source and what each declares.

    Example:
        >>> "logit_kd" in [entry["name"] for entry in medkd.entries("losses")]
        True
    """
    catalogue = CATALOGUES[kind]
    return tuple(catalogue.entry(name).described() for name in catalogue.names())


def read_recipe(recipe: PathLike | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return a bound recipe.

    Args:
        recipe: YAML file, or the same fields as a mapping.
        overrides: dotted field → value, for example ``{"student.fit.epochs": 2}``.

    Raises:
        RecipeError, CatalogueError: the first mistake, with its place and how many more there are.
    """
    if isinstance(recipe, Mapping):
        return make_recipe(_plain(recipe), overrides or {}, str(recipe.get("name", "recipe")))
    return _read_recipe(Path(recipe), overrides)


def _plain(value: Any) -> Any:
    """Return a copy that overrides may change."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def check_recipe(recipe: PathLike, overrides: Mapping[str, Any] | None = None, *, data_root: PathLike | None = None) -> RecipeCheck:
    """Return everything that is wrong with a recipe and the data that it names (``check.mistakes``), before any compute.

    Args:
        recipe: YAML file.
        overrides: dotted field → value.
        data_root: folder that ``data.path`` is relative to; by default ``MEDKD_DATA``, or ``data`` in the present folder.
    """
    return _check_recipe(Path(recipe), overrides, data_root=_data_root(data_root))


def _data_root(given: PathLike | None) -> Path:
    return Path(given if given is not None else os.environ.get("MEDKD_DATA", "data"))


def distill(
    recipe: Recipe | PathLike | Mapping[str, Any],
    out: PathLike | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    data_root: PathLike | None = None,
    register: bool = True,
    progress: bool = False,
) -> RecipeResult:
    """Take a recipe from its data to registered models: teacher, gate, students of every arm and seed, scorecards, explanations, registry.

    What a run in ``out`` has finished is not done again; a killed run goes on.

    Args:
        recipe: YAML file, its fields, or what :func:`read_recipe` returned.
        out: folder of the run; by default ``runs/NAME``. ``medkd.load(uri, run=out)`` finds its models.
        overrides: dotted field → value.
        data_root: folder that ``data.path`` is relative to; by default ``MEDKD_DATA``, or ``data`` in the present folder.
        register: put models and explanations into the run's MLflow registry; false ends with the scorecards.
        progress: show bars.

    Returns:
        Checkpoints, scorecards, comparisons, explanations and registered versions.

    Raises:
        TeacherGateError: the gate judged the teacher unfit to be copied.
        RecipeError, CatalogueError, SourceError, DataError: recipe or data do not fit.

    Example:
        >>> result = medkd.distill(recipe, "runs/first")
        >>> [card.subject for card in result.scorecards]
        ['first/teacher', 'first/alone', 'first/kd']
    """
    wanted = recipe if isinstance(recipe, Recipe) and not overrides else read_recipe(_fields(recipe), overrides)
    with privately():
        folder = claim(Path(out if out is not None else Path("runs") / wanted.name).resolve(), RUN)
        workspace = local_workspace(folder, progress=progress, data_root=_data_root(data_root))
        with shipping(workspace, [wanted] if register else ()) as metrics:
            result = _taught(workspace, wanted)
            metrics.drain()
            result = _scored(workspace, result)
            return _registered(workspace, result) if register else result


def _fields(recipe: Recipe | PathLike | Mapping[str, Any]) -> PathLike | Mapping[str, Any]:
    return recipe.model_dump(mode="json") if isinstance(recipe, Recipe) else recipe


def _taught(workspace: Workspace, recipe: Recipe) -> RecipeResult:
    """Return cohorts, a teacher that the gate let pass, what was extracted of it, and the students."""
    source, ingested = source_digest(recipe.data, workspace.data_root), None
    if isinstance(recipe.data, DicomData):
        folder = ingested_folder(workspace, recipe.name)
        ingested = ingest_with_site_secret(IngestRequest(workspace.data_root / recipe.data.path, folder, recipe.data.policy))
    result = RecipeResult(recipe, prepare_cohorts(workspace, recipe.cohorts(), source, ingested))
    trains = recipe.teacher.registered is None
    teacher = train.train_teacher(*teacher_call(workspace, result)) if trains else registered_teacher(workspace, recipe)
    result = replace(result, teacher=teacher)
    result = replace(result, verdicts=(judge_teacher(*gate_call(workspace, result)),))
    require_fit_teacher(result.verdicts[0])
    result = _further_taught(workspace, result)
    for call in synthesis_calls(workspace, result):
        result = replace(result, cohorts=synthesise_cohorts(*call))
    result = with_knowledge(result, [extract_knowledge(*call) for call in knowledge_calls(workspace, result)])
    result = replace(result, starts=tuple(starting_weights(*call) for call in starting_calls(workspace, result)))
    for number in range(len(student_rounds(recipe))):
        students = tuple(train.distill(*call) for call in student_calls(workspace, result, number))
        result = replace(result, students=in_order(recipe, (*result.students, *students)))
    return result


def _further_taught(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return the recipe's further teachers, and what the gate says of each."""
    for number in range(len(teacher_rounds(result.recipe))):
        trained = tuple(train.train_teacher(*call) for call in further_teacher_calls(workspace, result, number))
        judged = tuple(judge_teacher(*gate_call(workspace, result, one)) for one in trained)
        result = replace(result, teachers=(*result.teachers, *trained), verdicts=(*result.verdicts, *judged))
    say_stopped(result)
    return result


def _scored(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return scorecards, comparisons, calibrations, features of training cases and loss statements too."""
    arms = by_arm(evaluate_model(*call) for call in evaluation_calls(workspace, result))
    cards = tuple(summarise(*call) for call in card_calls(workspace, result, arms))
    compared = tuple(compare_arms(*call) for call in comparison_calls(workspace, result, arms))
    calibrated = tuple(calibrate(*call) for call in calibration_calls(workspace, result))
    described = tuple(describe_training(*call) for call in training_features_calls(workspace, result))
    (cases,) = (collect_case_results(*call) for call in results_calls(workspace, result, arms))
    result = replace(
        result, scorecards=cards, comparisons=compared, calibrations=calibrated, case_results=cases, training_features=described
    )
    return replace(result, loss_statements=tuple(state_loss(*call) for call in loss_calls(workspace, result)))


def _registered(workspace: Workspace, result: RecipeResult) -> RecipeResult:
    """Return explanations and registered versions too."""
    result = replace(result, bundles=tuple(explain_cohort(*call) for call in explanation_calls(workspace, result)))
    (registered,) = register_everything(workspace, (result,))
    if result.knowledge is not None:
        publish_knowledge(workspace, result.recipe.name, registered.models[0], result.knowledge)
    return replace(result, registered=registered)


def search_models(query: str = "", *, run: PathLike | None = None, tracking_uri: str | None = None) -> tuple[ListedVersion, ...]:
    """Return the registered versions that fulfil a query, with their tags, figures and aliases; from the registry alone.

    Args:
        query: ``FIELD OP VALUE`` joined by ``and``, as ``medkd registry search`` takes it (:mod:`medkd.registry.search_query`); empty for all.
        run: folder of the run whose registry is searched.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: there is no such registry; ``SEARCH_QUERY``, ``SEARCH_FIELD``, ``SEARCH_OPERATOR`` or ``SEARCH_VALUE`` of a query.

    Example:
        >>> [found.model.uri for found in medkd.search_models("teacher=first-teacher and arm=kd", run="runs/first")]
        ['models:/first-kd/1']
    """
    with _registry_of(run, tracking_uri) as registry:
        return _search_models(registry, query).versions


def promote(
    uri: str,
    *,
    to: Literal["candidate", "champion"] = "candidate",
    policy: PathLike | None = None,
    signatory: Signatory | None = None,
    run: PathLike | None = None,
    tracking_uri: str | None = None,
) -> Promotion:
    """Put a registered model to a promotion policy, keep the verdict beside it and move an alias to it.

    Args:
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        to: the alias; the champion needs a verdict that passed and a signatory.
        policy: YAML file; by default the policy that is shipped.
        signatory: who answers for the champion: ``medkd.promotion.promote.Signatory(name, role, statement)``.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Returns:
        The version, its verdict (``promotion.verdict.checks``) and whether the alias moved.

    Raises:
        RegistryError: ``PROMOTION_REFUSED`` with the checks that fail and their figures; ``PROMOTION_UNSIGNED``; ``POLICY_INVALID``.

    Example:
        >>> promotion = medkd.promote("models:/first-kd/1", run="runs/first")
        >>> promotion.alias, promotion.model.version
        ('candidate', 1)
    """
    with _registry_of(run, tracking_uri) as registry:
        return promote_signed(registry, uri, read_policy(None if policy is None else Path(policy)), to=to, signatory=signatory)


def rollback(name: str, *, run: PathLike | None = None, tracking_uri: str | None = None) -> Rollback:
    """Make the previous champion of a name the champion again, once every byte of it and its lineage are verified.

    Args:
        name: of the registered model.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: ``NOTHING_TO_ROLL_BACK``, ``VERSION_ALTERED``, ``ROLLBACK_REFUSED``; nothing is moved then.

    Example:
        >>> medkd.rollback("first-kd", run="runs/first")
        Traceback (most recent call last):
            ...
        data_contracts.errors.RegistryError: expected first-kd to have a champion and a previous, …
    """
    with _registry_of(run, tracking_uri) as registry:
        return _rollback(registry, name)


@contextmanager
def _registry_of(run: PathLike | None, tracking_uri: str | None) -> Iterator[Registry]:
    """Open the registry of a run's folder, or of an URI."""
    where = _tracking_uri(run, tracking_uri)
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        yield open_registry(Workspace(Path(scratch), where))


def _tracking_uri(run: PathLike | None, tracking_uri: str | None) -> str:
    """Return where a registry is, known to be there."""
    where = tracking_uri or f"sqlite:///{Path(run if run is not None else 'runs/demo').resolve() / 'mlflow.db'}"
    require_registry(where)
    return where


def install_models(*names: str, run: PathLike | None = None, tracking_uri: str | None = None) -> tuple[ModelRef, ...]:
    """Register trained models that come with the software, every byte verified; what is there already stays as it is.

    Args:
        names: of ``medkd models list``; all without.
        run: folder of the run whose registry takes them in, made where there is none; by default ``runs/demo``.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Returns:
        The students' versions. **Research use only.**

    Raises:
        RegistryError: ``RELEASED_UNKNOWN``, or ``RELEASED_ALTERED`` and ``EXPORT_ALTERED`` naming a file that is not as it was released.

    Example:
        >>> [model.name for model in medkd.install_models("hippocampus", run="runs/first")]
        ['hippocampus-kd_explanation']
    """
    wanted = released_models(names)
    with privately(), tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        if tracking_uri is None:
            workspace = local_workspace(claim(Path(run if run is not None else "runs/demo").resolve(), RUN))
        else:
            require_registry(tracking_uri)
            workspace = Workspace(Path(scratch), tracking_uri)
        return tuple(one.versions[-1].model for one in install_released(open_registry(workspace), wanted))


def load(uri: str, *, run: PathLike | None = None, tracking_uri: str | None = None) -> Model:
    """Return a registered model, every byte verified.

    Args:
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        run: folder of the run whose registry holds it.
        tracking_uri: MLflow tracking URI of the registry, instead of a run's own.

    Raises:
        RegistryError: there is no such registry or version, or it was altered.

    Example:
        >>> model = medkd.load("models:/first-kd/1", run="runs/first")
        >>> model.task.classes
        ('benign', 'malignant')
    """
    where = _tracking_uri(run, tracking_uri)
    with _registry_of(run, tracking_uri) as registry:
        reference, checkpoint, network, calibration = load_calibrated(registry, uri)
    # By its version: an alias may move before the model is asked again.
    return Model(reference.uri, where, reference, checkpoint, network, calibration)


@dataclass(frozen=True)
class Prediction:
    """What a model says of one volume.

    Attributes:
        volume: the verified volume: geometry, modality, flags.
        classes: names of the classes.
        labels: class of every voxel, uint8 [slice, row, column]; None of models that classify.
        probabilities: of each picture (slice, or volume as a whole) and class, float32 [picture, class]; None of models that segment.
            Calibrated where the model's version has a calibration.
        caveats: in what the study is not what the model was trained on, and, where the version has a calibration, what it is worth.
        flagged: which pictures reach the threshold that bounds the share of missed positives, bool [picture]; None without a bound, and of
            models that segment.
        case_classes: names of the classes of ``probabilities`` where a model segments and classifies; they are not calibrated then.
        lesions: what a detector found, the surest first: score, box on the study's voxels, centre in the patient; none of other models.
    """

    volume: VolumeRef
    classes: tuple[str, ...]
    labels: NDArray[np.uint8] | None
    probabilities: NDArray[np.float32] | None
    caveats: tuple[Caveat, ...]
    flagged: NDArray[np.bool_] | None = None
    lesions: tuple[FoundLesion, ...] = ()
    case_classes: tuple[str, ...] = ()

    def save(self, path: PathLike) -> Path:
        """Write the labels as NIfTI on the study's own voxels (``.nii.gz``), and return the path.

        Raises:
            DataError: ``MODEL_TASK`` for a model that classifies: it says of no voxel what it is; ``PICTURE_WITHOUT_SPACE`` for a picture.
        """
        if self.labels is None:
            does = "finds boxes" if self.lesions or self.probabilities is None else f"classifies into {list(self.classes)}"
            raise DataError("MODEL_TASK", f"expected the labels of a model that segments, this one {does}")
        save_nifti(self.labels, ras_affine(require_space(self.volume, "NIfTI")), Path(path))
        return Path(path)


@dataclass(frozen=True)
class Explanation:
    """Why a model said what it said of one study.

    Attributes:
        folder: of the artefact, which also lies beside the model version.
        record: findings, maps, measures, and which explainers failed which test.
        arrays: ``map/NUMBER/ROLE/EXPLAINER`` (float32) and ``mask/NUMBER`` (uint8), each [slice, row, column].
    """

    folder: Path
    record: StudyExplanation
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Model:
    """A registered model that was loaded.

    Attributes:
        uri: ``models:/NAME/VERSION``.
        tracking_uri: of the registry that holds it.
        reference: version, digest of its manifest, lineage.
        checkpoint: how it was trained, and on what.
        network: the torch module, in eval mode.
        calibration: how its logits become calibrated probabilities; None of a version without one.
    """

    uri: str
    tracking_uri: str
    reference: ModelRef
    checkpoint: Checkpoint
    network: nn.Module
    calibration: Calibration | None = None

    @property
    def task(self) -> Task:
        """Return what the model predicts."""
        return self.checkpoint.task

    def predict(self, study: PathLike, *, series: str | None = None, policy: IngestPolicy | None = None) -> Prediction:
        """Say what is in one study of DICOM; nothing is kept of it.

        Args:
            study: folder or file.
            series: key of the series, where the study holds several.
            policy: what is done about findings of its ingestion.

        Raises:
            DataError: ``NO_VOLUME`` when no geometry can be verified, ``WHICH_SERIES`` when several volumes could be meant,
                ``GRID_MISMATCH`` for slices of another size than the model's pictures.

        Example:
            >>> found = model.predict("dicom/study000")
            >>> found.probabilities.shape == (found.volume.geometry.shape[0], len(found.classes))
            True
        """
        with privately(), _ingested(Path(study), None, series, policy) as (volume, store):
            require_permitted(volume, self.checkpoint.domain)
            values = seen_values(volume, store)
        prepared = prepare_study(values, grid_of(volume.geometry), self.task)
        if self.task.kind is TaskKind.DETECTION:
            caveats = caveats_of_study(volume, self.checkpoint)
            return Prediction(volume, self.task.classes, None, None, caveats, lesions=lesions_of_study(self.network, prepared, volume))
        caveats = (*caveats_of_study(volume, self.checkpoint), *calibration_caveats(self.calibration, self.reference.name))
        if self.task.kind is TaskKind.SEGMENTATION:
            labels = segment(self.network, prepared).numpy()
            if not self.task.case_classes:
                return Prediction(volume, self.task.classes, labels, None, caveats)
            view, as_cases = head_view(self.network, "classification"), replace(prepared, task=self.task.of_cases())
            shares = class_logits(view, pictures_of(as_cases), as_cases).softmax(1).numpy()
            return Prediction(volume, self.task.classes, labels, shares, caveats, case_classes=self.task.case_classes)
        logits = class_logits(self.network, pictures_of(prepared), prepared)
        if self.calibration is None:
            return Prediction(volume, self.task.classes, None, logits.softmax(1).numpy(), caveats)
        flagged = reaches_threshold(logits.numpy(), self.calibration)
        return Prediction(volume, self.task.classes, None, apply(logits.numpy(), self.calibration), caveats, flagged)

    def explain(
        self,
        study: PathLike,
        out: PathLike | None = None,
        *,
        explainers: Mapping[str, Mapping[str, Any]] | tuple[str, ...] = (),
        lesion: int | None = None,
        time_budget: float | None = None,
        series: str | None = None,
        policy: IngestPolicy | None = None,
    ) -> Explanation:
        """Explain what the model finds or answers in one study, with tests of every map; the artefact is registered beside the model.

        Args:
            study: DICOM of one study, folder or file.
            out: folder of the results; by default ``runs/explanations/KEY``, by a key of the study.
            explainers: names, or names with their options (:func:`entries`); without, those that pass their tests on the model's task.
            lesion: explain this lesion (of a classifier: this answer) only; the largest is 1.
            time_budget: seconds for all: explainers that refine make what fits and say so.
            series: key of the series, where the study holds several.
            policy: what is done about findings of its ingestion.

        Example:
            >>> why = model.explain("dicom/study000", explainers=("grad_cam",))
            >>> [report.explainer for report in why.record.sanity_reports]
            ['grad_cam']
        """
        options = explainers if isinstance(explainers, Mapping) else {name: {} for name in explainers}
        chosen = tuple(Entry(name=name, options=dict(own)) for name, own in options.items())
        request = ExplanationRequest(explainers=chosen, lesion=lesion, seconds=time_budget)
        # A study's folder is often called after its patient.
        place = Path("runs/explanations") / pseudonym(site_secret(), "study", str(Path(study).resolve())) if out is None else Path(out)
        with privately(), _ingested(Path(study), place.resolve(), series, policy) as (volume, store):
            folder = explain_registered(
                Workspace(store.root.parent, self.tracking_uri), volume, store.root, self.uri, request, place.resolve()
            )
        record, arrays = read_explanation(folder)
        return Explanation(folder, record, {name: values.numpy() for name, values in arrays.items()})


@contextmanager
def _ingested(study: Path, out: Path | None, series: str | None, policy: IngestPolicy | None) -> Iterator[tuple[VolumeRef, Store]]:
    """Ingest a study below ``out`` (a folder that is thrown away where it is None); yield the volume that is meant, and its store."""
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        folder = Path(scratch) / "study" if out is None else out
        store = empty_store(claim_study(study, folder))
        request = IngestRequest(study, store, policy or IngestPolicy(), made_for=STUDY_STORE)
        ingested = ingest_with_site_secret(request)
        yield choose_volume(read_manifest(store), ingested, series), Store(store)


def evaluate(
    model: Model,
    data: PathLike,
    out: PathLike | None = None,
    *,
    teacher: str | None = None,
    where: Mapping[str, str] | None = None,
    id_column: str | None = None,
    patient_column: str | None = None,
    label_column: str | None = None,
    patient_pattern: str | None = None,
) -> FolderEvaluation:
    """Score a registered model on a folder it has never seen: figures with intervals over patients, subgroups, a row per case.

    Args:
        model: what :func:`load` returned.
        data: folder with ``cases.csv`` or ``dataset.json``, as in ``docs/tutorial.md``.
        out: folder of record, tables and picture; by default ``runs/evaluations/MODEL-VERSION-FOLDER``.
        teacher: registered teacher to compare with, ``models:/NAME/VERSION``.
        where: columns of ``cases.csv`` and the value that lines must have in them.
        id_column: column that names the files, where it is not recognised.
        patient_column: column that names the patient.
        label_column: column that holds the class.
        patient_pattern: without ``cases.csv``: ``odd-even``, or a regular expression whose group is the patient.

    Raises:
        SourceError, DataError: the folder is not as it should be.

    Example:
        >>> medkd.evaluate(model, "clinic").n
        6
    """
    hints = FolderHints(id_column, patient_column, label_column, patient_pattern, dict(where or {}))
    root, model_name = Path(data), f"{model.reference.name}-{model.reference.version}"
    folder = Path(out if out is not None else Path("runs/evaluations") / f"{model_name}-{root.resolve().name}").resolve()
    require_source(root)
    require_apart(root, folder)
    with privately(), tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        workspace = Workspace(claim(folder, RUN), model.tracking_uri)
        return evaluate_folder(workspace, root.resolve(), hints, model.uri, teacher, Path(scratch))
