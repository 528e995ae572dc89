"""The reference of a model version: made from a store of studies, kept beside the version, read back by its digest."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from data_contracts import (
    DataError,
    DriftReference,
    MedkdError,
    ModelRef,
    RegistryError,
    SanityReport,
    SeriesRecord,
    StudyExplanation,
    StudyProfile,
    TaskKind,
    TrainingManifest,
    load_record,
)
from medkd.dicom.case_images import CaseImages, images_of_store
from medkd.dicom.ingest_cache import read_manifest
from medkd.drift.study_profile import study_profile
from medkd.explanation.artefact import ask_registry
from medkd.explanation.defaults import first_findings, with_defaults
from medkd.explanation.explain_study import Decided, LoadedModel, StudyExplanationResult, explain_study
from medkd.explanation.of_registry import read_volume
from medkd.inference.further_images import read_further
from medkd.inference.series_caveats import require_rules
from medkd.inference.training_caveats import require_permitted
from medkd.measures.dice import dice
from medkd.progress import progress_bar
from medkd.registry.interface import TRAINING_MANIFEST, Registry, resolve
from medkd.storage.store import Store, sha256_file, write_bytes

#: Tag of a version with the digest of its reference; where the reference lies beside the version, and under which name.
TAG, PLACE, FILE = "medkd.drift_reference", "drift", "reference.json"


def make_reference(registry: Registry, uri: str, store: Path, *, progress: bool = False) -> tuple[ModelRef, DriftReference]:
    """Ask a registered model about every study of a store and return what they are like.

    Studies of patients that the version, or its teacher, was trained on are left out: a model is surer of those than of any later patient.
    They are explained as ``run-champion`` explains what comes in.

    Args:
        registry: holds the version.
        uri: ``models:/NAME/VERSION``, or by an alias.
        store: folder of the ingested studies.
        progress: show a bar.

    Raises:
        DataError: ``NO_VOLUME`` where no study is left, ``TASK_INPUTS`` for a version of several images whose card does not say which volume is which.
        RegistryError: ``VERSION_UNKNOWN``, ``VERSION_ALTERED``.
    """
    model = resolve(registry, uri)
    loaded, trained = ask_registry(registry, model.uri), _training_patients(registry, model)
    manifest = read_manifest(store)
    series = {one.series_key: one for one in manifest.series}
    found, mistaken = images_of_store(manifest, require_rules(loaded.checkpoint.task.image_names, loaded.series, model.uri))
    cases = [case for case in found if case.first.patient_key not in trained]
    rows: list[tuple[str, StudyProfile, float | None]] = []
    refused = Counter(why.code for why in mistaken.values())
    for case in progress_bar(cases, title="reference", unit="study", enabled=progress):
        try:
            rows.append((case.first.patient_key, *_profiled(loaded, Store(store), case, series.get(case.first.series_key))))
        except MedkdError as error:
            refused[error.code] += 1
    if not rows:
        left_out, codes = len(found) - len(cases), ", ".join(sorted(refused)) or "none"
        raise DataError(
            "NO_VOLUME",
            f"expected studies that {model.uri} can be asked about and was not trained on, got none of {len(manifest.volumes)} in the store "
            f"({left_out} of patients it was trained on; refusals: {codes}); ingest some of other patients",
        )
    patients = list(dict.fromkeys(patient for patient, *_ in rows))
    return model, DriftReference(
        model=model.uri,
        weights_digest=model.weights_digest,
        measure="dice" if loaded.checkpoint.task.kind is TaskKind.SEGMENTATION else "accuracy",
        patients=tuple(patients.index(patient) for patient, *_ in rows),
        studies=tuple(profile for _, profile, _ in rows),
        performance=tuple(performance for *_, performance in rows),
        training_patients_left_out=len(found) - len(cases),
        refused=dict(refused),
    )


def attach_reference(registry: Registry, model: ModelRef, reference: DriftReference) -> None:
    """Put a reference beside its version, with its digest as a tag; an earlier one is replaced."""
    with tempfile.TemporaryDirectory(prefix="medkd-") as scratch:
        path = write_bytes(Path(scratch) / FILE, reference.canonical_json())
        registry.attach(model, {PLACE: path}, {TAG: reference.digest()})


def load_reference(registry: Registry, model: ModelRef) -> DriftReference:
    """Return the reference of a version.

    Raises:
        RegistryError: ``NO_DRIFT_REFERENCE`` where none was made, ``DRIFT_REFERENCE_ALTERED`` where it is not what the tag names.
    """
    digest = registry.tags(model).get(TAG)
    if digest is None:
        raise RegistryError(
            "NO_DRIFT_REFERENCE",
            f"expected a drift reference beside {model.uri}, it has none; make one with `medkd drift reference {model.uri} --store STORE`",
        )
    path = registry.fetch_attached(model.uri, f"{PLACE}/{FILE}")
    found = None if path is None else sha256_file(path)
    if path is None or found != digest:
        came = "it is gone" if found is None else f"it is {found[:12]}"
        raise RegistryError(
            "DRIFT_REFERENCE_ALTERED", f"expected the drift reference {digest[:12]} beside {model.uri}, {came}; make it again"
        )
    return load_record(path, DriftReference)


def _training_patients(registry: Registry, model: ModelRef) -> frozenset[str]:
    path = registry.fetch(model.uri)[1] / TRAINING_MANIFEST
    return frozenset(load_record(path, TrainingManifest).patients) if path.is_file() else frozenset()


def _profiled(loaded: LoadedModel, store: Store, case: CaseImages, series: SeriesRecord | None) -> tuple[StudyProfile, float | None]:
    """Return the profile of a study, and how well the model does on it where a label says."""
    volume = case.first
    require_permitted(volume, loaded.checkpoint.domain)
    images = replace(read_volume(store, volume), further=read_further(volume, case.volumes[1:], store, loaded.checkpoint.task))
    request = with_defaults(first_findings(), loaded.checkpoint.task.kind)
    # Whether an explainer passes its tests on this study is not asked: no feature depends on it, and it takes four times as long.
    known = {one.name: SanityReport(explainer=one.name, checks=(), trusted=True) for one in request.explainers}
    made = explain_study(images, loaded, request, decided=Decided(sanity_reports=known))
    profile = study_profile(loaded, images, (made.record, made.arrays), series)
    if loaded.checkpoint.task.kind is TaskKind.CLASSIFICATION:
        return profile, share_right(made.record, volume.class_label)
    return profile, None if images.label is None else _dice(made, images.label)


def _dice(made: StudyExplanationResult, label: Tensor) -> float | None:
    value = float(dice((made.arrays["segmentation/student"] > 0)[None], (label > 0)[None])[0])
    return None if value != value else value


def share_right(record: StudyExplanation, class_name: str | None) -> float | None:
    """Return the share of the slices whose answer is a class; None where the class is not known."""
    sizes = [(one.last_slice - one.first_slice + 1, one.class_name == class_name) for one in record.answers]
    if class_name is None or not sizes:
        return None
    return sum(size for size, right in sizes if right) / sum(size for size, _ in sizes)


def reference_text(reference: DriftReference) -> Sequence[str]:
    """Return what a reference is made of, in sentences."""
    known = [value for value in reference.performance if value is not None]
    mean = f"{reference.measure} {sum(known) / len(known):.3f} on {len(known)} labelled ones" if known else "none of them labelled"
    lines = [f"{len(reference.studies)} studies of {len(set(reference.patients))} patients, {mean}"]
    if reference.training_patients_left_out:
        lines.append(f"{reference.training_patients_left_out} studies left out: the model was trained on their patients")
    if reference.refused:
        lines.append("refused: " + ", ".join(f"{count} {code}" for code, count in sorted(reference.refused.items())))
    return lines
