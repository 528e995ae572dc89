"""A study explained without torch: what a network answers and where the evidence lies, in closed form. Numpy alone."""

from __future__ import annotations

import hashlib
import os
import resource
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from data_contracts import (
    Calibration,
    Caveat,
    Checkpoint,
    Entry,
    ExplanationRef,
    ExplanationRequest,
    LesionFinding,
    MeasureValue,
    MethodRecord,
    ModelRef,
    Peak,
    Ref,
    SeriesRule,
    Structures,
    StudyExplanation,
    TargetRecord,
    TaskKind,
    VolumeRef,
    map_name,
)
from medkd import __version__
from medkd.explanation.class_answers import answers_of, explained_slices
from medkd.explanation.defaults import MASS, NO_CLASS_MAP, RUNTIME
from medkd.explanation.kept import ARRAYS, STORE, KeptResult
from medkd.explanation.subjects import chosen
from medkd.explanation.wording import noun_of
from medkd.inference.apply_calibration import apply
from medkd.inference.calibration_text import calibration_caveats
from medkd.inference.further_images import NO_FURTHER, FurtherImages, images_caveats
from medkd.inference.training_caveats import caveats_of_study
from medkd.serving.runtime_network import RuntimeNetwork, default_threads
from medkd.serving.study import StudyAnswer, ask_study

#: What the closed-form maps are called: of a segmentation the evidence at each voxel, of an answer the explainer ``cam`` of its margin.
CLASS_MAP, CAM = "class_map", "cam"


@dataclass(frozen=True)
class ServedVersion:
    """A registered version as a run-time without torch opens it.

    Attributes:
        model: the version.
        checkpoint: its checkpoint.
        network: what answers.
        depth: layers with a weight matrix.
        calibration: of its probabilities; None of a version that has none.
        structures: whether it outlines lesions or anatomy.
        trained_on: what it was trained on, in words.
        series: which series of a study it is for, by its images.
    """

    model: ModelRef
    checkpoint: Checkpoint
    network: RuntimeNetwork
    depth: int
    calibration: Calibration | None = None
    structures: Structures = "lesion"
    trained_on: str = ""
    series: Mapping[str, SeriesRule | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Subject:
    """A finding that has a map: its number, class, mask [slice, row, column], slices, map and target."""

    number: int
    index: int
    region: NDArray[np.uint8]
    span: slice
    attribution: NDArray[np.float32]
    target: TargetRecord


def explain_served(
    values: NDArray[Any],
    volume: VolumeRef,
    asked: ServedVersion,
    request: ExplanationRequest,
    label: NDArray[np.uint8] | None = None,
    further: FurtherImages = NO_FURTHER,
) -> KeptResult:
    """Return what a version finds in a volume, with closed-form maps; findings are those of the torch network.

    What needs gradients, the teacher or a second network is left out, and a caveat says so.

    Args:
        values: voxels [slice, row, column].
        volume: their record.
        asked: the version.
        request: which findings are explained; its explainers are not asked.
        label: the study's own segmentation [slice, row, column], where it has one.
        further: other images of the study, of a version that sees several.

    Raises:
        ExplanationError: ``LESION_UNKNOWN``; DataError: as :func:`medkd.serving.study.ask_study`.
    """
    started = time.perf_counter()
    # A picture of 8 bits is resized as one, rounded; everything else is float32.
    seen = values if volume.space is None and values.dtype == np.uint8 else values.astype(np.float32)
    answer = ask_study(seen, volume.space, asked.network, asked.calibration, further.values)
    segments = asked.checkpoint.task.kind is TaskKind.SEGMENTATION
    found = _lesions(answer, asked, request, label) if segments else _answers(answer, asked, request, volume, label)
    name = CLASS_MAP if segments else CAM
    arrays = {**found.arrays, **{f"mask/{one.number}": one.region for one in found.subjects}}
    arrays |= {map_name(one.number, "student", name): one.attribution for one in found.subjects}
    payload = safetensors.numpy.save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
    array = Ref(store=STORE, key=ARRAYS, sha256=hashlib.sha256(payload).hexdigest())
    record = _record(found, (volume, further), asked, request.model_copy(update={"explainers": (Entry(name=name),)}), array)
    seconds = {"all": time.perf_counter() - started}
    return KeptResult(record, payload, arrays, values, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


@dataclass(frozen=True)
class _Found:
    """Findings of a study, those that have maps, and arrays beside the maps."""

    lesions: tuple[LesionFinding, ...]
    answers: tuple[Any, ...]
    subjects: tuple[_Subject, ...]
    arrays: Mapping[str, NDArray[Any]]


def _lesions(answer: StudyAnswer, asked: ServedVersion, request: ExplanationRequest, label: NDArray[np.uint8] | None) -> _Found:
    """Return the lesions, the larger first, as they are numbered where there is no teacher."""
    labels = np.zeros((1, 1, 1), dtype=np.uint8) if answer.labels is None else answer.labels
    names = asked.checkpoint.task.classes
    ordered = sorted(answer.lesions, key=lambda one: -one[0].voxels)
    reference = label if label is not None and len(names) == 2 else None
    lesions = tuple(
        LesionFinding(
            **{**lesion.model_dump(), "tracking_id": f"lesion-{number}"},
            dice_to_reference=None if reference is None else dice_to_parts(mask, reference),
        )
        for number, (lesion, mask) in enumerate(ordered, 1)
    )
    subjects = []
    for place in chosen([f"{lesion.class_name}, {lesion.voxels} voxels" for lesion in lesions], request):
        index, mask = names.index(lesions[place].class_name), ordered[place][1]
        if index in answer.maps:
            # What the same class is marked for elsewhere is evidence for another finding.
            attribution = np.where((labels == index) & (mask == 0), np.float32(0), answer.maps[index])
            target = TargetRecord(kind="voxel_margin", options={"index": index}, mask_sha256=lesions[place].mask_sha256)
            subjects.append(_Subject(lesions[place].number, index, mask, slice(None), attribution, target))
    return _Found(lesions, (), tuple(subjects), {"segmentation/student": labels})


def _answers(
    answer: StudyAnswer, asked: ServedVersion, request: ExplanationRequest, volume: VolumeRef, label: NDArray[np.uint8] | None
) -> _Found:
    """Return the answers, numbered as the torch network's are."""
    task = asked.checkpoint.task
    whole = task.spatial_dims == 3
    marked = np.zeros(volume.geometry.shape, dtype=np.uint8) if label is None else (label > 0).astype(np.uint8)
    logits = answer.logits if answer.logits is not None else np.zeros((0, len(task.classes)), dtype=np.float32)
    answers = answers_of({"student": apply(logits, asked.calibration)}, task.classes, marked, whole=whole)
    subjects = []
    for place in chosen([f"{one.class_name}, slices {one.first_slice + 1} to {one.last_slice + 1}" for one in answers], request):
        one = answers[place]
        first, end = explained_slices(one, None if whole else request.slices)
        index, inside = task.classes.index(one.class_name), np.zeros(len(marked), dtype=bool)
        inside[first:end] = True
        if answer.margin is not None:
            keep = inside[:, None, None]
            target = TargetRecord(kind="class_margin", options={"index": index})
            region = np.where(keep, marked, np.uint8(0))
            subjects.append(_Subject(one.number, index, region, slice(first, end), np.where(keep, answer.margin, np.float32(0)), target))
    return _Found((), answers, tuple(subjects), {} if label is None else {"marked": marked})


def dice_to_parts(region: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return Dice of a component to those components of another mask that it touches, both [slice, row, column]."""
    from scipy import ndimage

    parts, _ = ndimage.label(other > 0, structure=np.ones((3, 3, 3), dtype=np.uint8))
    inside = region > 0
    there = np.isin(parts, np.unique(parts[inside & (parts > 0)]))
    return 2 * int((inside & there).sum()) / int(inside.sum() + there.sum())


def _record(
    found: _Found, seen: tuple[VolumeRef, FurtherImages], asked: ServedVersion, request: ExplanationRequest, array: Ref
) -> StudyExplanation:
    volume, further = seen
    checkpoint, task = asked.checkpoint, asked.checkpoint.task
    library, release = asked.network.runtime.split()
    return StudyExplanation(
        request=request,
        volume=volume,
        further=further.volumes,
        image_names=task.image_names if further.volumes else (),
        model=asked.model,
        kind=task.kind,
        task_digest=task.digest(),
        window=task.window if task.intensity == "window" else None,
        parameters=checkpoint.parameters,
        depth=asked.depth,
        mass=MASS[task.kind],
        lesions=found.lesions,
        answers=found.answers,
        maps=tuple(_map(one, volume, asked, request, array) for one in found.subjects),
        sanity_reports=(),
        caveats=(*caveats_of_study(volume, checkpoint), *images_caveats(task, volume, further), *_caveats(found, asked)),
        structures=asked.structures,
        trained_on=asked.trained_on,
        array=array,
        threads=default_threads() or os.cpu_count() or 1,
        libraries={"medkd": __version__, library: release},
    )


def _map(one: _Subject, volume: VolumeRef, asked: ServedVersion, request: ExplanationRequest, array: Ref) -> ExplanationRef:
    name, space, model = request.explainers[0].name, volume.space, asked.model
    return ExplanationRef(
        case_key=volume.series_key,
        source_digest=volume.array.sha256,
        model=f"{model.name}/{model.version}",
        model_role="student",
        weights_digest=model.weights_digest,
        method=MethodRecord(explainer=name),
        target=one.target,
        array=array,
        tensor=map_name(one.number, "student", name),
        shape=volume.geometry.shape,
        geometry=space,
        preprocessing_digest=asked.checkpoint.task.digest(),
        seed=request.seed,
        measures=tuple(_inside(one, asked.checkpoint.task.kind)),
        peaks=_peak(one.attribution, volume),
    )


def _inside(one: _Subject, kind: TaskKind) -> Iterator[MeasureValue]:
    """Yield the share of the map that lies inside, where there is an inside: the one measure that a reader's caveats need."""
    if one.region.any():
        own = np.abs(one.attribution) if MASS[kind] == "absolute" else np.maximum(one.attribution, 0)
        total = float(own[one.span].sum(dtype=np.float64))
        share = float((own * (one.region > 0))[one.span].sum(dtype=np.float64)) / total if total > 0 else None
        reason = "" if share is not None else "the map is zero everywhere"
        yield MeasureValue(name="relevance_mass_accuracy", value=share, higher_is_better=True, reason=reason)


def _peak(attribution: NDArray[np.float32], volume: VolumeRef) -> tuple[Peak, ...]:
    """Return where a map is highest, if it is above zero anywhere."""
    slice_index, row, column = (int(place) for place in np.unravel_index(int(attribution.argmax()), attribution.shape))
    value = float(attribution[slice_index, row, column])
    place = None if volume.space is None else volume.space.position_lps_mm(slice_index, row, column)
    return (Peak(voxel=(slice_index, row, column), position_lps_mm=place, value=value),) if value > 0 else ()


def _caveats(found: _Found, asked: ServedVersion) -> Iterator[Caveat]:
    yield from calibration_caveats(asked.calibration, asked.model.name, noun_of(asked.structures))
    text = (
        f"asked by {asked.network.runtime} without torch: maps are in closed form and were not tested on this study; explainers that need "
        "gradients and measures of agreement are left out, and no teacher was asked."
    )
    yield Caveat(code=RUNTIME, text=text, severity=2)
    if (found.lesions or found.answers) and not found.subjects:
        yield Caveat(code=NO_CLASS_MAP, text="the network has no class map in closed form; ask it by torch for maps.", severity=2)
