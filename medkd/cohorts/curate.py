"""From an ingested store to a cohort: volumes as cases, split by patient, and certified."""

from __future__ import annotations

from data_contracts import Case, Cohort, DataError, Part, Ref, Split, StoreManifest, VolumeRef
from medkd.cohorts.marked import marked_voxels
from medkd.cohorts.split import split_by_patient
from medkd.storage.store import Store


def curate_store(manifest: StoreManifest, store: Store, *, name: str, test: float = 0.2, seed: int = 0) -> Cohort:
    """Return the labelled volumes of a store as a cohort with a training and a test part.

    Args:
        manifest: of the store.
        store: its bytes; what the labels of a volume with several mark together is written below ``cohorts/NAME``.
        name: of the cohort.
        test: share of the test part.
        seed: of the split.

    Raises:
        DataError: ``COHORT_EMPTY`` when no volume carries a class.
    """
    volumes = [volume for volume in manifest.volumes if volume.class_label is not None]
    if not volumes:
        raise DataError("COHORT_EMPTY", f"expected volumes with a class in the store, none of {len(manifest.volumes)} carries one")
    classes = tuple(sorted({str(volume.class_label) for volume in volumes}))
    labels = [classes.index(str(volume.class_label)) for volume in volumes]
    patients = [volume.patient_key for volume in volumes]
    held = split_by_patient(patients, labels, validation=test, seed=seed)
    parts = [Part.TEST if part is Part.VALIDATION else Part.TRAIN for part in held]
    cases = tuple(
        Case(
            case_key=volume.series_key,
            patient_key=volume.patient_key,
            image=volume.array,
            mask=_mask(volume, store, name),
            label=label,
            pixel_sha256=volume.array.sha256,
            perceptual_hash=volume.perceptual_hash,
            study_key=volume.study_key,
            frame_of_reference_key=volume.frame_of_reference_key,
        )
        for volume, label in zip(volumes, labels, strict=True)
    )
    split = Split(
        parts={part: tuple(c.case_key for c, own in zip(cases, parts, strict=True) if own is part) for part in (Part.TRAIN, Part.TEST)}
    )
    return Cohort(name=name, origin="dicom", classes=classes, cases=cases, split=split)


def _mask(volume: VolumeRef, store: Store, name: str) -> Ref | None:
    """Return what the labels of a volume mark."""
    if len(volume.labels) < 2:
        return volume.label.array if volume.label else None
    marked = marked_voxels(volume, store)
    return None if marked is None else store.write_tensors(f"cohorts/{name}/{volume.series_key}.safetensors", {"label": marked})


def volumes_of(manifest: StoreManifest, cohort: Cohort, part: Part) -> tuple[VolumeRef, ...]:
    """Return the volumes that stand for the cases of one part, in cohort order."""
    by_key = {volume.series_key: volume for volume in manifest.volumes}
    return tuple(by_key[case.case_key] for case in cohort.part(part))
