"""A kept explanation: written as a folder that verifies itself, read again, put beside its model version. No torch."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from data_contracts import ExplanationError, ModelRef, Ref, RegistryError, StudyExplanation, load_record, map_name
from medkd.explanation.preview import MOST_PREVIEWS, render_preview
from medkd.explanation.wording import noun_of
from medkd.registry.interface import Registry
from medkd.registry.version_files import pack_archive
from medkd.storage.manifest import MANIFEST, pack_model, verify_folder
from medkd.storage.store import Store, sha256_file

#: Store that an artefact's arrays are referred to in, and its files.
STORE, ARRAYS = "explanation", "maps.safetensors"
RECORD, COST = "explanation.json", "cost.json"
SHORT = 12
#: Folder of the artefacts of a study, below that of its results.
EXPLANATIONS = "explanations"


@dataclass(frozen=True)
class KeptResult:
    """What is kept of an explained study.

    Attributes:
        record: the artefact's record.
        payload: bytes of its arrays.
        arrays: the same, on the study's voxels.
        volume: the study's voxels.
        seconds: wall time per explainer, and of the whole.
        peak_bytes: the process's largest memory so far.
    """

    record: StudyExplanation
    payload: bytes
    arrays: Mapping[str, NDArray[Any]]
    volume: NDArray[Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_bytes: int = 0


def keep(explained: KeptResult, folder: Path, *, previews: bool = True) -> Path:
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


def _previews(explained: KeptResult) -> dict[str, bytes]:
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


def read_kept(folder: Path) -> tuple[StudyExplanation, dict[str, NDArray[Any]]]:
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
    return record, Store(folder, STORE).read_arrays(record.array)


def attach_study(registry: Registry, model: ModelRef, folder: Path) -> None:
    """Put a kept explanation beside its model version: one archive with its index, previews, and the explainers that failed a test as tags."""
    record, _ = read_kept(folder)
    names = (RECORD, ARRAYS, COST, MANIFEST)
    tags = {f"medkd.explanation.{folder.name}": f"{len(record.explained)} findings, {len(record.maps)} maps"}
    # What an explainer fails at a place that a reader asked about is not what it fails on what the model finds.
    tested = record.sanity_reports and record.request.place is None
    tags |= {"medkd.failed_explainers": ",".join(record.failed_explainers) or "none"} if tested else {}
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        archive = Path(scratch) / f"explanation-{folder.name}.zip"
        pack_archive(archive, {name: (folder / name).read_bytes() for name in names})
        previews = sorted((folder / "previews").glob("*.png"))[:MOST_PREVIEWS]
        registry.attach(model, {"explanations": archive, f"previews/{folder.name}": previews}, tags)
