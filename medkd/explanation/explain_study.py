"""Why did a registered model find what it found? Every lesion by every explainer asked for, measured, tested, kept."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Literal

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from data_contracts import (
    Caveat,
    Checkpoint,
    Entry,
    ExplanationError,
    ExplanationRef,
    ExplanationRequest,
    MeasureValue,
    MethodRecord,
    ModelRef,
    Ref,
    SanityReport,
    StudyExplanation,
    TaskKind,
    VolumeRef,
)
from medkd.attribution._budget import time_budget
from medkd.catalogue import EXPLAINERS
from medkd.explanation.describe import agreement_of, measures_of, peaks_in
from medkd.explanation.sanity_checks import RUNS, run_sanity_checks
from medkd.explanation.subjects import ClassStudyExplainer, ExplainedRegion, LesionStudyExplainer, Method, StudyExplainer
from medkd.inference.segment import PreparedStudy, prepare_study
from medkd.measures.transparency import depth_of
from medkd.progress import progress_bar
from medkd.trace import layer_map_of
from medkd.volumes.orientation import Grid

STORE, ARRAYS = "explanation", "maps.safetensors"


@dataclass(frozen=True)
class LoadedModel:
    """The model that is asked and, where its lineage names one, its teacher."""

    model: ModelRef
    checkpoint: Checkpoint
    network: nn.Module
    teacher: ModelRef | None = None
    teacher_network: nn.Module | None = None

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by role, the asked one first."""
        return {"student": self.network, **({"teacher": self.teacher_network} if self.teacher_network is not None else {})}


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
        caveats: in what the study is not what the model was trained on.
    """

    record: StudyExplanation
    payload: bytes
    arrays: Mapping[str, Tensor]
    volume: Tensor
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0
    caveats: tuple[Caveat, ...] = ()


def explain_study(
    values: Tensor,
    volume: VolumeRef,
    loaded: LoadedModel,
    request: ExplanationRequest,
    *,
    label: Tensor | None = None,
    made: Mapping[str, int] | None = None,
    progress: bool = False,
) -> StudyExplanationResult:
    """Explain what a model finds in one volume.

    Args:
        values: voxels [slice, row, column].
        volume: their record.
        asked: the model, and its teacher.
        request: explainers, lesion or answer, time, seed.
        label: the study's own segmentation [slice, row, column], where it has one: a classifier's maps are judged by it.
        made: samples per explainer, where a time budget decided them once and they are to be made again.
        progress: show a bar.

    Raises:
        ExplanationError: ``LESION_UNKNOWN`` for a lesion that is not there; whatever the explainers refuse.
        DataError: ``GRID_MISMATCH`` or ``IMAGE_NOT_FINITE``.
    """
    started = time.perf_counter()
    require_bound(request, loaded)
    study_explainer, study = _inquire(values, volume, loaded, request, label)
    found = study_explainer.subjects
    arrays: dict[str, Tensor] = {f"mask/{one.number}": one.region for one in found}
    faithful: dict[str, tuple[MeasureValue, ...]] = {}
    sanity_reports: list[SanityReport] = []
    seconds: dict[str, float] = {}
    entries = request.explainers if found else ()
    for place, entry in enumerate(progress_bar(entries, title="explain", unit="explainer", enabled=progress)):
        since, left = time.perf_counter(), None if request.seconds is None else request.seconds - (time.perf_counter() - started)
        share = None if left is None else max(left, 0.0) / (len(entries) - place)
        given = _explain_by(study_explainer, study, loaded, entry, request.seed, share, (made or {}).get(entry.name))
        arrays |= given.arrays
        faithful |= given.faithful
        sanity_reports.append(given.sanity_report)
        seconds[entry.name] = time.perf_counter() - since
    payload = safetensors.torch.save({name: value.contiguous() for name, value in arrays.items()})
    array = Ref(store=STORE, key=ARRAYS, sha256=hashlib.sha256(payload).hexdigest())
    table = _Table(
        loaded, volume, array, arrays, faithful, {sanity_report.explainer: sanity_report for sanity_report in sanity_reports}, request.seed
    )
    record = StudyExplanation(
        request=request,
        volume=volume,
        model=loaded.model,
        teacher=loaded.teacher,
        task_digest=loaded.checkpoint.task.digest(),
        parameters=loaded.checkpoint.parameters,
        depth=depth_of(loaded.network),
        lesions=tuple(one.lesion for one in found if one.lesion is not None),
        answers=tuple(one.answer for one in found if one.answer is not None),
        maps=tuple(ref for entry in entries for one in found for ref in table.rows(one, entry)),
        sanity_reports=tuple(sanity_reports),
        array=array,
        threads=torch.get_num_threads(),
        libraries={name: version(name) for name in ("medkd", "torch", "monai")},
    )
    whole = {**seconds, "all": time.perf_counter() - started}
    return StudyExplanationResult(record, payload, arrays, values, whole, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


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


def _inquire(
    values: Tensor, volume: VolumeRef, loaded: LoadedModel, request: ExplanationRequest, label: Tensor | None
) -> tuple[StudyExplainer, PreparedStudy]:
    """Ask the model about the volume."""
    task = loaded.checkpoint.task
    study = prepare_study(values.float(), Grid(volume.geometry.shape, np.asarray(volume.geometry.affine_lps_mm)), task)
    if task.kind is TaskKind.SEGMENTATION:
        return LesionStudyExplainer(loaded.network, study, volume, task, request.lesion), study
    return ClassStudyExplainer(loaded.network, study, volume, task, label, request.lesion), study


@dataclass(frozen=True)
class _ExplainerResult:
    """What one explainer gave: maps on the study's voxels by name, what hiding by them does, and which tests it passed here."""

    arrays: Mapping[str, Tensor]
    faithful: Mapping[str, tuple[MeasureValue, ...]]
    sanity_report: SanityReport


def _explain_by(
    study_explainer: StudyExplainer,
    study: PreparedStudy,
    loaded: LoadedModel,
    entry: Entry,
    seed: int,
    seconds: float | None,
    made: int | None,
) -> _ExplainerResult:
    """Explain every subject by one explainer."""
    compares = "teacher" in EXPLAINERS.entry(entry.name).fact("NEEDS", frozenset())
    method = Method(entry.name, {**entry.options, **({"teacher": loaded.teacher_network} if compares else {})}, seed)
    networks = {"student": loaded.network} if compares else loaded.networks()
    with time_budget(seconds, runs=len(networks) + RUNS, made=made) as spending:
        maps = {role: study_explainer.explain(network, method) for role, network in networks.items()}
        sanity_report = run_sanity_checks(
            study_explainer.trial(loaded.network, maps["student"], method), loaded.network, loaded.checkpoint.network
        )
    arrays: dict[str, Tensor] = {}
    faithful = {}
    for role, own in maps.items():
        for place, (one, on_study) in enumerate(zip(study_explainer.subjects, study.to_study(own), strict=True)):
            name = f"map/{one.number}/{role}/{entry.name}"
            arrays[name] = on_study
            faithful[name] = study_explainer.faithfulness(networks[role], place, own[place])
    cut = None if spending is None else spending.cut
    return _ExplainerResult(arrays, faithful, sanity_report.model_copy(update={"samples": cut}))


@dataclass(frozen=True)
class _Table:
    """Everything that the records of a job's maps are written from."""

    loaded: LoadedModel
    volume: VolumeRef
    array: Ref
    arrays: Mapping[str, Tensor]
    faithful: Mapping[str, tuple[MeasureValue, ...]]
    sanity_reports: Mapping[str, SanityReport]
    seed: int

    def rows(self, one: ExplainedRegion, entry: Entry) -> list[ExplanationRef]:
        """Return the records of one subject's maps by one explainer: the teacher's, and the student's below it."""
        teacher_maps = self.arrays.get(f"map/{one.number}/teacher/{entry.name}")
        spacing = self.volume.geometry.spacing_mm
        own = self._row(one, entry, "student", self.loaded.model)
        if teacher_maps is None or self.loaded.teacher is None:
            return [own]
        above = self._row(one, entry, "teacher", self.loaded.teacher)
        agreed = agreement_of(self.arrays[own.tensor], teacher_maps, one.region, spacing)
        return [above, own.model_copy(update={"measures": (*own.measures, *agreed), "parent": above.digest()})]

    def _row(self, one: ExplainedRegion, entry: Entry, role: Literal["student", "teacher"], model: ModelRef) -> ExplanationRef:
        checks, name = self.sanity_reports[entry.name].checks, f"map/{one.number}/{role}/{entry.name}"
        return ExplanationRef(
            case_key=self.volume.series_key,
            source_digest=self.volume.array.sha256,
            model=f"{model.name}/{model.version}",
            model_role=role,
            weights_digest=model.weights_digest,
            method=MethodRecord(
                explainer=entry.name,
                options=entry.options,
                layer=str(entry.options["layer"]) if "layer" in entry.options else None,
                signed=EXPLAINERS.entry(entry.name).fact("SIGNED"),
                passes_randomisation=next(check.passed for check in checks if check.name == "randomisation"),
            ),
            target=one.target,
            array=self.array,
            tensor=name,
            shape=self.volume.geometry.shape,
            geometry=self.volume.geometry,
            preprocessing_digest=self.loaded.checkpoint.task.digest(),
            seed=self.seed,
            measures=(*measures_of(self.arrays[name], one.region, self.volume.geometry.spacing_mm), *self.faithful[name]),
            peaks=peaks_in(self.arrays[name], self.volume.geometry),
        )
