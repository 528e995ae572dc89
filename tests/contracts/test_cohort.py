from __future__ import annotations

import pytest

from data_contracts import Case, Cohort, CohortSet, CohortUse, LeakageCertificate, LeakageError, Part, Ref, Split

REF = Ref(store="run", key="x", sha256="0" * 64)


def cohort(patients, parts, digests=None):
    cases = tuple(
        Case(case_key=f"c{i}", patient_key=p, image=REF, label=i % 2, pixel_sha256=digests[i] if digests else None)
        for i, p in enumerate(patients)
    )
    return Cohort(name="x", origin="test", classes=("a", "b"), cases=cases, split=Split(parts=parts))


def test_a_patient_in_two_parts_is_refused_by_the_contract():
    with pytest.raises(LeakageError) as caught:
        cohort(["p1", "p1"], {Part.TRAIN: ("c0",), Part.TEST: ("c1",)})
    assert caught.value.code == "PATIENT_IN_TWO_PARTS"
    assert "p1" in str(caught.value)


def test_a_case_outside_the_split_or_twice_in_it_is_refused():
    with pytest.raises(ValueError, match="exactly once"):
        cohort(["p1", "p2"], {Part.TRAIN: ("c0",)})
    with pytest.raises(ValueError, match="exactly once"):
        cohort(["p1", "p2"], {Part.TRAIN: ("c0", "c1"), Part.TEST: ("c1",)})


def test_a_label_without_a_class_is_refused():
    with pytest.raises(ValueError, match="labels below 2"):
        Cohort(
            name="x",
            origin="test",
            classes=("a", "b"),
            cases=(Case(case_key="c0", patient_key="p", image=REF, label=2),),
            split=Split(parts={Part.TRAIN: ("c0",)}),
        )


def test_what_depends_on_some_subsets_depends_on_their_certificates_only():
    certificates = [
        LeakageCertificate(cohort_digest=digest * 64, patients={}, shared_patients=(), shared_pixel_digests=()) for digest in "ab"
    ]
    refs = [Ref(store="run", key=digest, sha256=digest * 64) for digest in "ab"]
    uses = {name: CohortUse(cohort=ref, part=Part.TRAIN) for name, ref in zip(("student_train/0", "test"), refs, strict=True)}
    less = CohortSet(uses=uses, certificates=tuple(certificates)).only("test", "debiased")
    assert list(less.uses) == ["test"]
    assert less.certificates == (certificates[1],)


def test_a_certificate_says_what_is_shared_by_kind():
    pair = LeakageCertificate(
        cohort_digest="a" * 64, patients={}, shared_patients=("p1",), shared_pixel_digests=(), near_duplicates=(("c1", "c2"),)
    )
    assert pair.problems() == {"patients": ("p1",), "look-alikes of different patients": ("c1~c2",)}
    assert not pair.clean


def test_a_part_keeps_the_order_of_the_cohort():
    split = {Part.TRAIN: ("c2", "c0"), Part.TEST: ("c1",)}
    assert [case.case_key for case in cohort(["p1", "p2", "p3"], split).part(Part.TRAIN)] == ["c0", "c2"]
    assert cohort(["p1", "p2", "p3"], split).part(Part.VALIDATION) == ()
