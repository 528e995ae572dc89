"""Why did a registered model find what it found? Every finding by every explainer asked for, measured, tested, kept."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

import safetensors.torch
import torch
from torch import Tensor, nn

from data_contracts import (
    Calibration,
    Checkpoint,
    ClassAnswer,
    Entry,
    ExplanationError,
    ExplanationRequest,
    LesionFinding,
    MeasureValue,
    ModelRef,
    Ref,
    SanityReport,
    SeriesRule,
    Structures,
    StudyExplanation,
    TaskKind,
    VolumeRef,
    map_name,
    require_kind,
)
from medkd.attribution._budget import time_budget
from medkd.catalogue import EXPLAINERS
from medkd.explanation.budget import Budget, left_out_caveats
from medkd.explanation.class_subjects import ClassStudyExplainer
from medkd.explanation.describe import MASS, outside_focus
from medkd.explanation.kept import ARRAYS as ARRAYS
from medkd.explanation.kept import STORE
from medkd.explanation.lesion_subjects import LesionStudyExplainer
from medkd.explanation.map_records import MapRecords
from medkd.explanation.sanity_checks import RUNS, run_sanity_checks
from medkd.explanation.subjects import Method, StudyExplainer
from medkd.explanation.wording import noun_of
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.further_images import NO_FURTHER, FurtherImages, images_caveats
from medkd.inference.nearest_cases import FEATURES
from medkd.inference.segment import PreparedStudy, prepare_study
from medkd.inference.training_caveats import caveats_of_study
from medkd.measures.transparency import depth_of
from medkd.progress import progress_bar
from medkd.trace import has_closed_form, layer_map_of
from medkd.volumes.orientation import grid_of


@dataclass(frozen=True)
class LoadedModel:
    """The model that is asked and, where its lineage names one, its teacher.

    ``calibration``, ``structures`` and ``trained_on`` are those of the asked model: how its probabilities are calibrated (None of a version that
    has none), whether it outlines lesions or anatomy, what it was trained on, in words, and which series of a study it is for, by its images.
    """

    model: ModelRef
    checkpoint: Checkpoint
    network: nn.Module
    teacher: ModelRef | None = None
    teacher_network: nn.Module | None = None
    calibration: Calibration | None = None
    structures: Structures = "lesion"
    trained_on: str = ""
    series: Mapping[str, SeriesRule | None] = field(default_factory=dict)

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by role, the asked one first."""
        return {"student": self.network, **({"teacher": self.teacher_network} if self.teacher_network is not None else {})}


@dataclass(frozen=True)
class StudyImages:
    """What is read of a study to be explained.

    Attributes:
        values: voxels [slice, row, column]; of a picture what is shown of it.
        volume: their record.
        label: the study's own segmentation [slice, row, column], where it has one: a classifier's maps are judged by it.
        further: other images of the study, of a model that sees several.
    """

    values: Tensor
    volume: VolumeRef
    label: Tensor | None = None
    further: FurtherImages = NO_FURTHER


@dataclass(frozen=True)
class StudyExplanationResult:
    """A finished job.

    Attributes:
        record: the artefact's record.
        payload: bytes of its arrays.
        arrays: the same as tensors, on the study's voxels.
        volume: the study's voxels.
        seconds: wall time per explainer, and of the whole.
        peak_bytes: the process's largest memory so far.
    """

    record: StudyExplanation
    payload: bytes
    arrays: Mapping[str, Tensor]
    volume: Tensor
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0


@dataclass(frozen=True)
class Decided:
    """What was decided before a study is explained.

    Attributes:
        samples: by explainer, where a time budget decided them once and the maps are to be made again.
        sanity_reports: by explainer, where its maps of the model's cohort were tested: they are not tested again.
        features: whether the findings' features are kept; an explanation from before there were any has none.
    """

    samples: Mapping[str, int] = field(default_factory=dict)
    sanity_reports: Mapping[str, SanityReport] = field(default_factory=dict)
    features: bool = True


def explain_study(
    images: StudyImages,
    loaded: LoadedModel,
    request: ExplanationRequest,
    *,
    decided: Decided | None = None,
    progress: bool = False,
) -> StudyExplanationResult:
    """Explain what a model finds in one volume: each explainer once over all findings, and once by the teacher.

    Args:
        images: the volume, and what else was read of its study.
        loaded: the model, and its teacher.
        request: explainers, findings, time, seed.
        decided: samples and verdicts that are not to be found out here.
        progress: show a bar.

    Raises:
        ExplanationError: ``LESION_UNKNOWN`` for a finding that is not there; whatever the explainers refuse.
        DataError: ``GRID_MISMATCH`` or ``IMAGE_NOT_FINITE``.
    """
    require_kind(loaded.checkpoint.task, "the explanation of a study")
    started = time.perf_counter()
    require_bound(request, loaded)
    decided = decided or Decided()
    task, volume = loaded.checkpoint.task, images.volume
    study = prepare_study(images.values, grid_of(volume.geometry), task, images.further.values)
    study_explainer: StudyExplainer = (
        LesionStudyExplainer(loaded.networks(), study, volume, request, images.label)
        if task.kind is TaskKind.SEGMENTATION
        else ClassStudyExplainer(loaded.networks(), study, volume, request, images.label, loaded.calibration)
    )
    given = _explain_all(study_explainer, study, loaded, request, decided, started=started, progress=progress)
    payload = safetensors.torch.save({name: value.contiguous() for name, value in given.arrays.items()})
    array = Ref(store=STORE, key=ARRAYS, sha256=hashlib.sha256(payload).hexdigest())
    record = _record_of(study_explainer, given, _Asked(images, loaded, request, decided, array))
    whole = {**given.seconds, "all": time.perf_counter() - started}
    return StudyExplanationResult(
        record, payload, given.arrays, images.values, whole, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


@dataclass(frozen=True)
class _Given:
    """What all explainers gave: arrays and what hiding by them does by name, verdicts in order, seconds by explainer, who was left out and why."""

    entries: tuple[Entry, ...]
    arrays: Mapping[str, Tensor]
    faithful: Mapping[str, tuple[MeasureValue, ...]]
    sanity_reports: tuple[SanityReport, ...]
    seconds: Mapping[str, float]
    left_out: tuple[str, ...] = ()


def _explain_all(
    study_explainer: StudyExplainer,
    study: PreparedStudy,
    loaded: LoadedModel,
    request: ExplanationRequest,
    decided: Decided,
    *,
    started: float,
    progress: bool,
) -> _Given:
    """Explain every subject by every explainer, each in its share of the time that is left since ``started``."""
    arrays: dict[str, Tensor] = {**study_explainer.found.arrays, **{f"mask/{one.number}": one.region for one in study_explainer.subjects}}
    if decided.features and study_explainer.subjects and request.place is None:
        rows = study_explainer.features(loaded.network)
        arrays |= {FEATURES.format(one.number): row for one, row in zip(study_explainer.subjects, rows, strict=True)}
    faithful: dict[str, tuple[MeasureValue, ...]] = {}
    sanity_reports: list[SanityReport] = []
    seconds: dict[str, float] = {}
    entries = request.explainers if study_explainer.subjects else ()
    budget, left_out, asked = Budget(), [], []
    wanted = budget.order(entries, closed_form=has_closed_form(loaded.network)) if request.cheapest_first else entries
    for place, entry in enumerate(progress_bar(wanted, title="explain", unit="explainer", enabled=progress)):
        since, left = time.perf_counter(), None if request.seconds is None else request.seconds - (time.perf_counter() - started)
        if left is not None and request.cheapest_first and (why := budget.refuses(entry, left)) is not None:
            left_out.append(why)
            continue
        share = None if left is None else max(left, 0.0) / (len(wanted) - place)
        found = _explain_by(study_explainer, study, loaded, _Run(entry, request.seed, share, decided))
        arrays |= found.arrays
        faithful |= found.faithful
        sanity_reports.append(found.sanity_report)
        seconds[entry.name] = time.perf_counter() - since
        budget.spent(entry, seconds[entry.name])
        asked.append(entry)
    return _Given(tuple(asked), arrays, faithful, tuple(sanity_reports), seconds, tuple(left_out))


@dataclass(frozen=True)
class _Asked:
    """What was asked of whom, and the file of the arrays."""

    images: StudyImages
    loaded: LoadedModel
    request: ExplanationRequest
    decided: Decided
    array: Ref


def _record_of(study_explainer: StudyExplainer, given: _Given, asked: _Asked) -> StudyExplanation:
    """Return the record of a study that was explained."""
    loaded, volume, further, task = asked.loaded, asked.images.volume, asked.images.further, asked.loaded.checkpoint.task
    rows = MapRecords(
        models={"student": loaded.model, **({"teacher": loaded.teacher} if loaded.teacher is not None else {})},
        volume=volume,
        task=task,
        array=asked.array,
        arrays=given.arrays,
        faithful=given.faithful,
        sanity_reports={sanity_report.explainer: sanity_report for sanity_report in given.sanity_reports},
        seed=asked.request.seed,
    )
    lesions, answers = _with_focus(study_explainer, given.arrays, volume, given.entries)
    return StudyExplanation(
        request=asked.request,
        volume=volume,
        further=further.volumes,
        image_names=task.image_names if further.volumes else (),
        model=loaded.model,
        teacher=loaded.teacher,
        kind=task.kind,
        task_digest=task.digest(),
        window=task.window if task.intensity == "window" else None,
        parameters=loaded.checkpoint.parameters,
        teacher_parameters=None if loaded.teacher_network is None else sum(one.numel() for one in loaded.teacher_network.parameters()),
        depth=depth_of(loaded.network),
        mass=MASS[task.kind],
        lesions=lesions,
        answers=answers,
        teacher_only=study_explainer.found.teacher_only,
        maps=tuple(ref for entry in given.entries for one in study_explainer.subjects for ref in rows.of(one, entry)),
        sanity_reports=given.sanity_reports,
        tested_on_cohort=tuple(entry.name for entry in given.entries if entry.name in asked.decided.sanity_reports),
        caveats=(
            *caveats_of_study(volume, loaded.checkpoint),
            *images_caveats(task, volume, further),
            *calibration_caveats(loaded.calibration, loaded.model.name, noun_of(loaded.structures)),
            *left_out_caveats(given.left_out, asked.request.seconds),
        ),
        structures=loaded.structures,
        trained_on=loaded.trained_on,
        array=asked.array,
        threads=torch.get_num_threads(),
        libraries={name: version(name) for name in ("medkd", "torch", "monai")},
    )


def _with_focus(
    study_explainer: StudyExplainer, arrays: Mapping[str, Tensor], volume: VolumeRef, entries: tuple[Entry, ...]
) -> tuple[tuple[LesionFinding, ...], tuple[ClassAnswer, ...]]:
    """Return the findings with what the first explainer's map says of the places outside them."""
    if not entries:
        return study_explainer.found.lesions, study_explainer.found.answers
    first, mass, focus = entries[0].name, MASS[study_explainer.kind], {}
    for subject in study_explainer.subjects:
        outside = study_explainer.outside(subject)
        if outside is not None:
            attribution = arrays[map_name(subject.number, "student", first)]
            focus[subject.number] = outside_focus(attribution, outside, volume.space, mass, explainer=first)
    return (
        tuple(one.model_copy(update={"outside": focus.get(one.number)}) for one in study_explainer.found.lesions),
        tuple(one.model_copy(update={"outside": focus.get(one.number)}) for one in study_explainer.found.answers),
    )


def require_bound(request: ExplanationRequest, loaded: LoadedModel) -> None:
    """Refuse what cannot be made before anything is computed.

    Raises:
        CatalogueError: an unknown explainer or option.
        ExplanationError: ``EXPLAINER_TASK`` for one that is not for the model's task or gives no map, ``EXPLAINER_NEEDS`` for one that needs a
            teacher or a transformer that is not there, ``LAYER_UNKNOWN``.
    """
    for entry in request.explainers:
        known, needs = EXPLAINERS.entry(entry.name), EXPLAINERS.entry(entry.name).fact("NEEDS", frozenset())
        EXPLAINERS.bind(entry.name, {**entry.options, **({"teacher": None} if "teacher" in needs else {})})
        if loaded.checkpoint.task.kind.value not in known.fact("TASKS") or known.fact("RETURNS", "map") != "map":
            raise ExplanationError(
                "EXPLAINER_TASK", f"expected an explainer that gives maps of a {loaded.checkpoint.task.kind.value}, {entry.name} does not"
            )
        if "teacher" in needs and loaded.teacher_network is None:
            raise ExplanationError("EXPLAINER_NEEDS", f"expected a model whose lineage names a teacher for {entry.name}, this one has none")
        if "attention" in needs and not layer_map_of(loaded.network).attention:
            raise ExplanationError("EXPLAINER_NEEDS", f"expected a transformer for {entry.name}, this model has no attention layers")
        layer = entry.options.get("layer")
        for role, network in loaded.networks().items():
            if layer is not None and layer not in dict(network.named_modules()):
                raise ExplanationError(
                    "LAYER_UNKNOWN",
                    f"expected a layer of the {role} (named feature_layers: {list(layer_map_of(network).feature_layers)}), got {layer!r}",
                )


@dataclass(frozen=True)
class _Run:
    """One explainer on its way: how it is asked, seeded and bounded."""

    entry: Entry
    seed: int
    seconds: float | None
    decided: Decided


@dataclass(frozen=True)
class _ExplainerResult:
    """What one explainer gave: maps on the study's voxels by name, what hiding by them does, and which tests it passed here."""

    arrays: Mapping[str, Tensor]
    faithful: Mapping[str, tuple[MeasureValue, ...]]
    sanity_report: SanityReport


def _explain_by(study_explainer: StudyExplainer, study: PreparedStudy, loaded: LoadedModel, run: _Run) -> _ExplainerResult:
    """Explain every subject by one explainer."""
    entry, known = run.entry, run.decided.sanity_reports.get(run.entry.name)
    compares = "teacher" in EXPLAINERS.entry(entry.name).fact("NEEDS", frozenset())
    method = Method(entry.name, {**entry.options, **({"teacher": loaded.teacher_network} if compares else {})}, run.seed)
    networks = {"student": loaded.network} if compares else loaded.networks()
    runs = len(networks) + (RUNS if known is None else 0)
    with time_budget(run.seconds, runs=runs, made=run.decided.samples.get(entry.name)) as spending:
        maps = {role: study_explainer.explain(network, method) for role, network in networks.items()}
        sanity_report = known or run_sanity_checks(
            study_explainer.trial(loaded.network, maps["student"], method), loaded.network, loaded.checkpoint.network
        )
    arrays: dict[str, Tensor] = {}
    faithful = {}
    for role, own in maps.items():
        for place, (one, on_study) in enumerate(zip(study_explainer.subjects, study.to_study(own), strict=True)):
            name = map_name(one.number, role, entry.name)
            arrays[name] = on_study
            faithful[name] = study_explainer.faithfulness(networks[role], place, own[place])
    cut = None if spending is None else spending.cut
    return _ExplainerResult(arrays, faithful, sanity_report.model_copy(update={"samples": cut}))
