from __future__ import annotations

import pytest

from data_contracts import Case, Cohort, CohortSet, DataError, LeakageError, Part, Ref, Split, TrainingManifest
from medkd.cohorts.split import certify, require_clean, require_unseen, split_by_patient

REF = Ref(store="run", key="x", sha256="0" * 64)


def cohort(patients, parts, digests=None):
    cases = tuple(
        Case(case_key=f"c{i}", patient_key=p, image=REF, label=i % 2, pixel_sha256=digests[i] if digests else None)
        for i, p in enumerate(patients)
    )
    return Cohort(name="x", origin="test", classes=("a", "b"), cases=cases, split=Split(parts=parts))


def test_the_certificate_finds_the_same_picture_under_two_patients():
    shared = cohort(["p1", "p2"], {Part.TRAIN: ("c0",), Part.TEST: ("c1",)}, digests=["a" * 64, "a" * 64])
    assert certify(shared).shared_pixel_digests == ("a" * 64,)
    assert not certify(shared).clean
    assert certify(cohort(["p1", "p2"], {Part.TRAIN: ("c0",), Part.TEST: ("c1",)}, digests=["a" * 64, "b" * 64])).clean


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("study_key", "s1", "studies"),
        ("frame_of_reference_key", "f1", "frames of reference"),
        ("perceptual_hash", "ab" * 32, "look-alikes of different patients"),
    ],
)
def test_the_certificate_finds_whatever_two_parts_share(field, value, problem):
    plain = cohort(["p1", "p2", "p3"], {Part.TRAIN: ("c0", "c1"), Part.TEST: ("c2",)})
    shared = plain.model_copy(
        update={"cases": tuple(c.model_copy(update={field: value}) if c.case_key != "c1" else c for c in plain.cases)}
    )
    inside = plain.model_copy(
        update={"cases": tuple(c.model_copy(update={field: value}) if c.case_key != "c2" else c for c in plain.cases)}
    )
    assert list(certify(shared).problems()) == [problem]
    assert certify(inside).clean
    with pytest.raises(LeakageError, match=rf"before training, parts of cohort \w+ share 1 {problem}") as caught:
        require_clean(CohortSet(uses={}, certificates=(certify(shared),)), before="training")
    assert caught.value.code == "NO_CLEAN_CERTIFICATE"


def test_a_teacher_that_saw_the_test_patients_is_refused_and_the_patients_are_named():
    teacher = TrainingManifest(cohorts=(), patients=("p1", "p2", "p3"))
    require_unseen(teacher, ["p4", "p5"], student="net-kd")
    with pytest.raises(LeakageError, match="test patients of net-kd, it was trained on p2, p3") as caught:
        require_unseen(teacher, ["p3", "p4", "p2"], student="net-kd")
    assert caught.value.code == "TEACHER_SAW_TEST_PATIENTS"


def test_a_split_keeps_patients_together_and_classes_balanced():
    patients = [f"p{i // 2}" for i in range(200)]
    labels = [(i // 2) % 4 == 0 for i in range(200)]
    parts = split_by_patient(patients, [int(v) for v in labels], validation=0.2, seed=0)
    held = [i for i, part in enumerate(parts) if part is Part.VALIDATION]
    assert 30 <= len(held) <= 50
    assert not {patients[i] for i in held} & {patients[i] for i, part in enumerate(parts) if part is Part.TRAIN}
    assert abs(sum(labels[i] for i in held) / len(held) - 0.25) < 0.06


def test_a_class_with_one_patient_cannot_be_split():
    with pytest.raises(DataError) as caught:
        split_by_patient(["a", "b", "c"], [0, 0, 1], validation=0.2, seed=0)
    assert caught.value.code == "SPLIT_TOO_FEW"
