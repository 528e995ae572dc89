from __future__ import annotations

import pytest

from data_contracts import DataError, Geometry, Part, Ref, StoreManifest, VolumeRef
from medkd.cohorts.curate import curate_store, volumes_of

GEOMETRY = Geometry(
    shape=(3, 4, 4),
    affine_lps_mm=((0, 0, 1.0, 0), (0, 1.0, 0, 0), (1.0, 0, 0, 0), (0, 0, 0, 1.0)),
    spacing_mm=(1.0, 1.0, 1.0),
    residual_mm=0,
)


def volume(number, patient, label):
    ref = Ref(store="store", key=f"v{number}", sha256=f"{number:064x}")
    return VolumeRef(
        array=ref, geometry=GEOMETRY, unit="HU", modality="CT", patient_key=f"p{patient}", study_key=f"t{number}", series_key=f"s{number}",
        class_label=label,
    )  # fmt: skip


def test_patients_stay_together_and_the_parts_hold_everything():
    volumes = tuple(volume(i, i // 2, ("benign", "malignant")[i // 2 % 2]) for i in range(40))
    cohort = curate_store(StoreManifest(volumes=volumes), name="studies")
    train, test = cohort.part(Part.TRAIN), cohort.part(Part.TEST)
    assert len(train) + len(test) == 40
    assert not {c.patient_key for c in train} & {c.patient_key for c in test}
    assert {c.label for c in test} == {0, 1}
    assert [v.series_key for v in volumes_of(StoreManifest(volumes=volumes), cohort, Part.TEST)] == [c.case_key for c in test]


def test_volumes_without_a_class_make_no_cohort():
    with pytest.raises(DataError) as caught:
        curate_store(StoreManifest(volumes=(volume(0, 0, None),)), name="studies")
    assert caught.value.code == "COHORT_EMPTY"
