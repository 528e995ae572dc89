from __future__ import annotations

from pathlib import Path

import pytest

from data_contracts import FeedbackDirectives, StudyDirective, load_record

GOLDEN = load_record(Path(__file__).parent / "golden" / "feedback_directives_1.json", FeedbackDirectives)


def study(number, *, patient, part="train"):
    return StudyDirective(study_key=f"st{number}", case_key=f"s{number}", patient_key=patient, part=part)


def made(*studies):
    return GOLDEN.model_copy(update={"studies": studies}).model_dump(mode="json")


def test_a_patient_teaches_or_judges_and_never_both():
    with pytest.raises(ValueError, match="one part, p1 is in both"):
        FeedbackDirectives.model_validate(made(study(1, patient="p1"), study(2, patient="p1", part="eval")))


def test_a_case_is_directed_once():
    with pytest.raises(ValueError, match="one directive for each case, got s1 twice"):
        FeedbackDirectives.model_validate(made(study(1, patient="p1"), study(1, patient="p1")))


@pytest.mark.parametrize("wrong", [{"influence_cap": 1.0}, {"influence_cap": 0.0}, {"strength": 0.0}, {"eval_share": 1.5}])
def test_a_term_that_could_outweigh_all_others_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FeedbackDirectives.model_validate({**GOLDEN.model_dump(mode="json"), **wrong})


def test_the_student_that_is_compared_leaves_out_the_same_studies_and_is_taught_nothing():
    left = GOLDEN.without_teaching()
    assert [one.part for one in GOLDEN.studies] == ["train", "eval"]
    assert left.studies == GOLDEN.of_part("eval")
    assert left.relabel == ()
    assert left.digest() != GOLDEN.digest()
