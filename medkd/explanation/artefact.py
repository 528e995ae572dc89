"""An explanation as a folder that verifies itself: record, arrays, previews, and the manifest that is written last."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from data_contracts import ExplanationError, ModelRef, Ref, RegistryError, StudyExplanation, TaskKind, load_record, map_name
from medkd.explanation.explain_study import ARRAYS, STORE, Decided, LoadedModel, StudyExplanationResult, explain_study
from medkd.explanation.preview import MOST_PREVIEWS, render_preview
from medkd.explanation.wording import noun_of
from medkd.inference.nearest_cases import FEATURES
from medkd.registry.interface import Registry
from medkd.registry.publish import load_registered, load_version, pack_archive
from medkd.storage.manifest import MANIFEST, pack_model, verify_folder
from medkd.storage.store import Store, sha256_file

RECORD, COST = "explanation.json", "cost.json"
SHORT = 12
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
    """Write an artefact below ``folder`` and return where it lies: under its content id. Without its manifest, written last, it is none.

    What costs are differs from run to run, so it lies beside the record and is not part of the id.
    """
    record = explained.record
    place = folder / record.digest()[:SHORT]
    if (place / MANIFEST).is_file():
        return place
    # Where a page follows in the same folder, pictures of single maps are left out.
    cost = {"seconds": {name: round(value, 3) for name, value in explained.seconds.items()}, "peak_bytes": explained.peak_bytes}
    files = {RECORD: record.canonical_json(), ARRAYS: explained.payload, COST: json.dumps(cost, indent=1).encode()}
    files |= _previews(explained) if previews else {}
    pack_model(place, files)
    return place


def _previews(explained: StudyExplanationResult) -> dict[str, bytes]:
    """Return pictures by file name: findings before explainers, so that each finding is seen before the second method is."""
    record, arrays, shown = explained.record, explained.arrays, {}
    named = {"student": record.model.name, "teacher": record.teacher.name if record.teacher else ""}
    for sanity_report in record.sanity_reports:
        failed = record.failed_checks(sanity_report.explainer)
        for kind, number, class_name, place in explained_in(record):
            maps = {named[role]: arrays[key] for role in named if (key := map_name(number, role, sanity_report.explainer)) in arrays}
            title = f"{class_name} {number}, {sanity_report.explainer}, slice {place + 1}"
            shown[f"previews/{kind}-{number}-{sanity_report.explainer}.png"] = (number, maps, place, title, failed)
    return {
        name: render_preview(
            explained.volume,
            arrays[f"mask/{number}"],
            maps,
            place,
            title=title,
            failed=failed,
        )
        for name, (number, maps, place, title, failed) in list(shown.items())[:MOST_PREVIEWS]
    }


def explained_in(record: StudyExplanation) -> list[tuple[str, int, str, int]]:
    """Return of every finding that has maps what it is, its number, its class and the slice that shows it best."""
    lesions = [(noun_of(record.structures), one.number, one.class_name, one.key_slice) for one in record.lesions]
    answers = [("answer", one.number, one.class_name, one.key_slice) for one in record.answers]
    return [one for one in (*lesions, *answers) if one[1] in record.explained]


def kept_in(store: Store, record: Ref) -> Path:
    """Return the folder of a kept explanation that a record of a run refers to, brought to this machine where another one made it.

    Raises:
        StoreError: as :meth:`~medkd.storage.store.Store.path`.
    """
    path = store.path(record)
    folder = path.parent
    if store.objects is not None and path.is_file() and not (folder / MANIFEST).is_file():
        found = load_record(path, StudyExplanation)
        key = (folder.relative_to(store.root) / ARRAYS).as_posix()
        arrays = store.path(Ref(store=store.name, key=key, sha256=found.array.sha256))
        cost = store.objects.read_record(_cost_of(record)) or b"{}"
        pack_model(folder, {RECORD: path.read_bytes(), ARRAYS: arrays.read_bytes(), COST: cost})
    return folder


def leave_cost(store: Store, record: Ref) -> None:
    """Leave what an explanation cost for other machines: it was measured, so that no record refers to it."""
    cost = store.path(record).with_name(COST)
    if store.objects is not None and cost.is_file():
        store.objects.write_record(_cost_of(record), cost.read_bytes())


def _cost_of(record: Ref) -> str:
    return f"costs/{record.sha256}.json"


def read_explanation(folder: Path) -> tuple[StudyExplanation, dict[str, Tensor]]:
    """Return a kept explanation and its arrays, every byte verified.

    Raises:
        RegistryError: ``VERSION_ALTERED`` when a file is missing or altered.
        ExplanationError: ``EXPLANATION_INCOMPLETE`` for a folder without a manifest.
    """
    if not (folder / MANIFEST).is_file():
        raise ExplanationError("EXPLANATION_INCOMPLETE", f"expected {MANIFEST} in {folder}, it is not there: explain the study again")
    verify_folder(folder, sha256_file(folder / MANIFEST))
    # The digest of the bytes: a record of an earlier version is lifted as it is read, and has another one then.
    content = sha256_file(folder / RECORD)
    if content[:SHORT] != folder.name:
        raise RegistryError("VERSION_ALTERED", f"expected the explanation {folder.name} in its folder, found {content[:SHORT]}")
    record = load_record(folder / RECORD, StudyExplanation)
    return record, Store(folder, STORE).read_tensors(record.array)


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
    """Return a registered model, every byte verified, with a teacher: the one that is named, or that its lineage names."""
    model, checkpoint, network, calibration, card = load_version(registry, uri)
    teacher = teacher or (None if model.teacher is None else model.teacher.uri)
    alone = LoadedModel(model, checkpoint, network, calibration=calibration)
    if card is not None:
        alone = replace(alone, structures=card.structures, trained_on=card.trained_on)
    if teacher is None:
        return alone
    above, _, teacher_network = load_registered(registry, teacher)
    return replace(alone, teacher=above, teacher_network=teacher_network)


def replay(folder: Path, values: Tensor, loaded: LoadedModel, label: Tensor | None = None) -> Replayed:
    """Make a kept explanation again from its volume and models, with as many threads, and compare every bit.

    Args:
        folder: of the artefact.
        values: voxels of its volume.
        loaded: its models.
        label: the study's own segmentation, where it has one.

    Raises:
        ExplanationError: ``REPLAY_VERSION`` for an artefact of an earlier version, whose findings had another order.
    """
    record, arrays = read_explanation(folder)
    if record.digest()[:SHORT] != folder.name:
        raise ExplanationError(
            "REPLAY_VERSION", f"expected an explanation {record.SCHEMA}, {folder.name} is of an earlier version: explain the study again"
        )
    known = {sanity_report.explainer: sanity_report for sanity_report in record.sanity_reports}
    decided = Decided(
        samples={name: sanity_report.samples[1] for name, sanity_report in known.items() if sanity_report.samples is not None},
        sanity_reports={name: known[name] for name in record.tested_on_cohort},
        features=any(name.startswith(FEATURES.format("")) for name in arrays),
    )
    if record.kind is TaskKind.CLASSIFICATION:  # judged by the study's own segmentation or a segmenter's: what was marked is kept
        label = arrays.get("marked")
    request, threads = record.request.model_copy(update={"seconds": None}), torch.get_num_threads()
    torch.set_num_threads(record.threads)
    try:
        again = explain_study(values, record.volume, loaded, request, label=label, decided=decided)
    finally:
        torch.set_num_threads(threads)
    found = again.record.model_copy(update={"request": record.request})
    differs = {}
    for name, own in arrays.items():
        other = again.arrays.get(name)
        if other is None or not torch.equal(own, other):
            differs[name] = float("inf") if other is None else float((own - other).abs().max() / own.abs().max().clamp_min(1e-30))
    return Replayed(record, found.digest() == record.digest() and not differs, differs)


def attach_study(registry: Registry, model: ModelRef, folder: Path) -> None:
    """Put a kept explanation beside its model version: one archive with its index, previews, and the explainers that failed a test as tags."""
    record, _ = read_explanation(folder)
    names = (RECORD, ARRAYS, COST, MANIFEST)
    tags = {f"medkd.explanation.{folder.name}": f"{len(record.explained)} findings, {len(record.maps)} maps"}
    # What an explainer fails at a place that a reader asked about is not what it fails on what the model finds.
    tested = record.sanity_reports and record.request.place is None
    tags |= {"medkd.failed_explainers": ",".join(record.failed_explainers) or "none"} if tested else {}
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        archive = Path(scratch) / f"explanation-{folder.name}.zip"
        pack_archive(archive, {name: (folder / name).read_bytes() for name in names})
        registry.attach(model, {"explanations": archive}, tags)
    for preview in sorted((folder / "previews").glob("*.png"))[:MOST_PREVIEWS]:
        registry.attach(model, {f"previews/{folder.name}": preview}, {})
