from __future__ import annotations

import pytest
import torch

from data_contracts import DataError, Geometry, LabelRef, Part, Ref, Segment, StoreManifest, VolumeRef
from medkd.cohorts.curate import curate_store, volumes_of
from medkd.cohorts.marked import marked_voxels
from medkd.storage.store import Store

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


def test_patients_stay_together_and_the_parts_hold_everything(tmp_path):
    volumes = tuple(volume(i, i // 2, ("benign", "malignant")[i // 2 % 2]) for i in range(40))
    cohort = curate_store(StoreManifest(volumes=volumes), Store(tmp_path), name="studies")
    train, test = cohort.part(Part.TRAIN), cohort.part(Part.TEST)
    assert len(train) + len(test) == 40
    assert not {c.patient_key for c in train} & {c.patient_key for c in test}
    assert {c.label for c in test} == {0, 1}
    assert [v.series_key for v in volumes_of(StoreManifest(volumes=volumes), cohort, Part.TEST)] == [c.case_key for c in test]


def test_volumes_without_a_class_make_no_cohort(tmp_path):
    with pytest.raises(DataError) as caught:
        curate_store(StoreManifest(volumes=(volume(0, 0, None),)), Store(tmp_path), name="studies")
    assert caught.value.code == "COHORT_EMPTY"


def label_of(store, number, *places):
    values = torch.zeros(GEOMETRY.shape, dtype=torch.uint8)
    for place in places:
        values[place] = number
    segments = (Segment(value=number, name=f"part {number}"),)
    return LabelRef(
        array=store.write_tensors(f"labels/{number}.safetensors", {"label": values}),
        geometry=GEOMETRY,
        segments=segments,
        volume_sha256="0" * 64,
    )


def test_all_labels_of_a_volume_are_its_mask(tmp_path):
    store = Store(tmp_path)
    one, other = label_of(store, 1, (0, 1, 1)), label_of(store, 2, (2, 3, 3), (2, 3, 2))
    several = volume(0, 0, "benign").model_copy(update={"label": one, "further_labels": (other,)})
    single = volume(1, 1, "benign").model_copy(update={"label": one})
    none = volume(2, 2, "benign")
    assert torch.nonzero(marked_voxels(several, store)).tolist() == [[0, 1, 1], [2, 3, 2], [2, 3, 3]]
    assert marked_voxels(none, store) is None
    others = (volume(3, 3, "malignant"), volume(4, 4, "malignant"))
    cases = {
        case.case_key: case for case in curate_store(StoreManifest(volumes=(several, single, none, *others)), store, name="studies").cases
    }
    assert (store.read_tensors(cases["s0"].mask)["label"] == marked_voxels(several, store)).all()
    assert (cases["s1"].mask, cases["s2"].mask) == (one.array, None)
