"""An explanation as a folder that verifies itself: record, arrays, previews, and the manifest that is written last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from data_contracts import ExplanationError, ExplanationRequest, StudyExplanation, TaskKind, load_record
from medkd.explanation.budget import LEFT_OUT, Budget
from medkd.explanation.explain_study import Decided, LoadedModel, StudyExplanationResult, StudyImages, explain_study
from medkd.explanation.kept import ARRAYS as ARRAYS
from medkd.explanation.kept import RECORD as RECORD
from medkd.explanation.kept import SHORT as SHORT
from medkd.explanation.kept import KeptResult, read_kept
from medkd.explanation.kept import attach_study as attach_study
from medkd.explanation.kept import explained_in as explained_in
from medkd.explanation.kept import keep as keep_result
from medkd.explanation.kept import leave_cost as leave_cost
from medkd.inference.further_images import NO_FURTHER, FurtherImages
from medkd.inference.nearest_cases import FEATURES
from medkd.inference.series_caveats import SERIES_OTHER, rules_of
from medkd.registry.interface import Registry
from medkd.registry.load_version import load_registered, load_version
from medkd.storage.manifest import MANIFEST

#: Fewer letters of an id name nothing.
LEAST_ID = 4


@dataclass(frozen=True)
class Replayed:
    """What making an explanation again gave.

    Attributes:
        record: the one that was kept.
        same: whether every bit is.
        differs: per map that is not the same, the largest difference over its largest magnitude.
    """

    record: StudyExplanation
    same: bool
    differs: dict[str, float]


def keep(explained: StudyExplanationResult, folder: Path, *, previews: bool = True) -> Path:
    """Write an artefact below ``folder`` and return where it lies (:func:`medkd.explanation.kept.keep`)."""
    arrays = {name: values.numpy() for name, values in explained.arrays.items()}
    made = KeptResult(explained.record, explained.payload, arrays, explained.volume.numpy(), explained.seconds, explained.peak_bytes)
    return keep_result(made, folder, previews=previews)


def read_explanation(folder: Path) -> tuple[StudyExplanation, dict[str, Tensor]]:
    """Return a kept explanation and its arrays as tensors, every byte verified; raises as :func:`~medkd.explanation.kept.read_kept`."""
    record, arrays = read_kept(folder)
    return record, {name: torch.from_numpy(values) for name, values in arrays.items()}


def find_kept(folder: Path, wanted: str) -> Path:
    """Return the kept explanation of a content id, or of one of its maps; the beginning of an id is enough where it is the only one.

    Raises:
        ExplanationError: ``EXPLANATION_UNKNOWN``, naming what is there.
    """
    kept = sorted(path.parent for path in folder.rglob(f"{ARRAYS}") if (path.parent / MANIFEST).is_file())
    found = [place for place in kept if place.name.startswith(wanted[:SHORT])]
    if not found:
        records = {place: load_record(place / RECORD, StudyExplanation) for place in kept}
        found = [place for place, record in records.items() if any(ref.digest().startswith(wanted) for ref in record.maps)]
    if len(found) != 1 or len(wanted) < LEAST_ID:
        listed = ", ".join(place.name for place in kept) or "none"
        raise ExplanationError(
            "EXPLANATION_UNKNOWN", f"expected the id of one explanation below {folder} ({listed}), {wanted!r} names {len(found)}"
        )
    return found[0]


def ask_registry(registry: Registry, uri: str, teacher: str | None = None) -> LoadedModel:
    """Return a registered model, every byte verified, with a teacher: the one that is named, or that its lineage names.

    A teacher that sees other inputs than the model (another sequence, a clinical row) is left out.
    """
    model, checkpoint, network, calibration, card = load_version(registry, uri)
    teacher = teacher or (None if model.teacher is None else model.teacher.uri)
    alone = LoadedModel(model, checkpoint, network, calibration=calibration)
    if card is not None:
        alone = replace(alone, structures=card.structures, trained_on=card.trained_on, series=rules_of(card))
    if teacher is None:
        return alone
    above, its, teacher_network = load_registered(registry, teacher)
    if its.task.input_names != checkpoint.task.input_names:
        return alone  # what the teacher saw of other studies is not there to be asked about
    return replace(alone, teacher=above, teacher_network=teacher_network)


def replay(folder: Path, values: Tensor, loaded: LoadedModel, label: Tensor | None = None, further: FurtherImages = NO_FURTHER) -> Replayed:
    """Make a kept explanation again from its volume and models, with as many threads, and compare every bit.

    Args:
        folder: of the artefact.
        values: voxels of its volume.
        loaded: its models.
        label: the study's own segmentation, where it has one.
        further: other images that the model saw of it.

    Raises:
        ExplanationError: ``REPLAY_VERSION`` for an artefact of an earlier version, whose findings had another order.
    """
    record, arrays = read_explanation(folder)
    if record.digest()[:SHORT] != folder.name:
        raise ExplanationError(
            "REPLAY_VERSION", f"expected an explanation {record.SCHEMA}, {folder.name} is of an earlier version: explain the study again"
        )
    if "torch" not in record.libraries:
        by = ", ".join(f"{name} {release}" for name, release in record.libraries.items() if name != "medkd")
        raise ExplanationError(
            "REPLAY_RUNTIME", f"expected an explanation made by torch, {folder.name} was made by {by}; ask the study again"
        )
    known = {sanity_report.explainer: sanity_report for sanity_report in record.sanity_reports}
    decided = Decided(
        samples={name: sanity_report.samples[1] for name, sanity_report in known.items() if sanity_report.samples is not None},
        sanity_reports={name: known[name] for name in record.tested_on_cohort},
        features=any(name.startswith(FEATURES.format("")) for name in arrays),
    )
    if record.kind is TaskKind.CLASSIFICATION:  # judged by the study's own segmentation or a segmenter's: what was marked is kept
        label = arrays.get("marked")
    request, threads = _as_asked(record), torch.get_num_threads()
    torch.set_num_threads(record.threads)
    try:
        again = explain_study(StudyImages(values, record.volume, label=label, further=further), loaded, request, decided=decided)
    finally:
        torch.set_num_threads(threads)
    # What did not fit is not asked again, and what a store says of its series is not a volume's.
    kept = tuple(caveat for caveat in record.caveats if caveat.code in (LEFT_OUT, SERIES_OTHER))
    found = again.record.model_copy(update={"request": record.request, "caveats": (*again.record.caveats, *kept)})
    differs = {}
    for name, own in arrays.items():
        other = again.arrays.get(name)
        if other is None or not torch.equal(own, other):
            differs[name] = float("inf") if other is None else float((own - other).abs().max() / own.abs().max().clamp_min(1e-30))
    return Replayed(record, found.digest() == record.digest() and not differs, differs)


def _as_asked(record: StudyExplanation) -> ExplanationRequest:
    """Return the request of an explanation without its time: for the explainers that were asked within it."""
    request = record.request.model_copy(update={"seconds": None, "cheapest_first": False})
    if not record.request.cheapest_first:
        return request
    asked = {sanity_report.explainer for sanity_report in record.sanity_reports}
    entries = tuple(entry for entry in Budget().order(request.explainers) if entry.name in asked)
    return request.model_copy(update={"explainers": entries})
