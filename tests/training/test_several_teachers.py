from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from data_contracts import AttributionSource, GateFinding, KnowledgeError, KnowledgeSet, TeacherSet, teacher_rounds
from medkd.cohorts.patient_folds import patient_folds
from medkd.cohorts.tensor_cohort import patient_codes, patients_of
from medkd.evaluation.gate_teacher import judge_teacher
from medkd.knowledge.folds import FoldSource
from medkd.knowledge.mixture_source import ControlledSource, MixtureSource
from medkd.knowledge.online import EmaSource, PeerSource
from medkd.models._load import load_network
from medkd.recipe_calls.training_calls import (
    further_teacher_calls,
    gate_call,
    knowledge_calls,
    knowledge_for,
    student_calls,
    teachers_of,
    with_knowledge,
)
from medkd.registry.recipe_result import RecipeResult
from medkd.training.extract_knowledge import extract_knowledge
from medkd.training.recipes import vary_recipe
from medkd.training.several_teachers import TeachersRequest, several_teachers
from medkd.training.train import distill, setup_training, student_cohort, train_teacher
from medkd.training.training_run import TrainingRun

KD = [{"loss": "cross_entropy"}, {"loss": "logit_kd", "options": {"temperature": 2.0}}]


def arms(**more):
    return {name: {"terms": KD, **fields} for name, fields in more.items()}


@pytest.fixture(scope="module")
def taught(workspace, recipe, cohorts):
    """Return a recipe of three teachers, one of them in folds and one an assistant, all trained."""
    teacher = recipe.teacher.model_dump(mode="json") | {"terms": KD[:1]}
    further = {
        "second": teacher | {"seed": 5},
        "cv": teacher | {"seed": 6, "folds": 2},
        "assistant": teacher | {"terms": KD, "learns_from": "teacher"},
    }
    wanted = arms(
        kd={},
        second={"teachers": ["second"]},
        mixture={"teachers": ["teacher", "second"], "weighting": "validation"},
        folds={"teachers": ["cv"], "out_of_fold": True},
        ema={"teachers": ["ema"]},
        peer={"teachers": ["teacher", "peer"]},
        again={"teachers": ["self"], "self_arm": "kd"},
        assistant={"teachers": ["assistant"]},
        stored={"teachers": ["teacher", "cv"], "weighting": "confidence", "knowledge": "store"},
        live={"teachers": ["teacher", "cv"], "weighting": "confidence"},
    )
    wide = vary_recipe(
        recipe,
        {
            "name": "several",
            "teachers": further,
            "arms": wanted,
            "student.fit.epochs": 1,
            # What is compared to a few thousandths must not be rounded to bfloat16 where a processor has it.
            "student.fit.precision": "fp32",
            "student.fit.augment": "none",
            "experiment": None,
        },
    )
    result = RecipeResult(wide, cohorts, teacher=train_teacher(workspace, wide.teacher_training(), cohorts))
    result = replace(result, verdicts=(judge_teacher(*gate_call(workspace, result)),))
    for number in range(len(teacher_rounds(wide))):
        trained = tuple(train_teacher(*call) for call in further_teacher_calls(workspace, result, number))
        judged = tuple(judge_teacher(*gate_call(workspace, result, one)) for one in trained)
        result = replace(result, teachers=(*result.teachers, *trained), verdicts=(*result.verdicts, *judged))
    return result


def trained(workspace, result, arm):
    """Return the student of an arm, trained as a flow trains it."""
    (call,) = [one for number in range(2) for one in student_calls(workspace, result, number) if one[1].arm == arm]
    return distill(*call)


def test_every_network_of_every_teacher_is_trained_and_judged(taught):
    assert [one.arm for one in taught.teachers] == ["teacher_second", "teacher_cv_fold1", "teacher_cv_fold2", "teacher_assistant"]
    assert [verdict.subject.partition("/")[2] for verdict in taught.verdicts] == ["teacher", *(one.arm for one in taught.teachers)]
    weighed = [bool(verdict.class_figures) for verdict in taught.verdicts]
    assert weighed == [True, True, False, False, False]  # only what an arm weighs by it
    assistant = taught.teachers[-1]
    assert assistant.teacher_digest == taught.teacher.weights_digest
    assert len({one.weights_digest for one in (taught.teacher, *taught.teachers)}) == 5


def test_a_fold_is_trained_without_its_patients(taught, workspace, cohorts):
    from hashlib import sha256

    everybody = patients_of(cohorts, ["teacher_train"], workspace.store)
    folds = patient_folds(everybody, 2)
    for checkpoint, left_out in zip(taught.teachers[1:3], folds, strict=True):
        assert checkpoint.train_patients_digest == sha256("\n".join(sorted(everybody - left_out)).encode()).hexdigest()


@pytest.mark.parametrize(
    ("arm", "asked"),
    [
        ("kd", "teacher"), ("second", "teacher_second"), ("assistant", "teacher_assistant"), ("ema", ""),
        ("mixture", "teacher teacher_second"), ("folds", "teacher_cv_fold1 teacher_cv_fold2"), ("peer", "teacher"),
    ],
)  # fmt: skip
def test_an_arm_is_given_the_teachers_that_it_asks(taught, arm, asked):
    found = teachers_of(taught, taught.recipe, arm, 0)
    networks = found.networks if isinstance(found, TeacherSet) else () if found is None else (("", found),)
    assert " ".join(one.arm for _, one in networks) == asked


def test_a_student_names_every_teacher_in_the_order_of_its_arm(taught, workspace):
    mixture, alone = trained(workspace, taught, "mixture"), trained(workspace, taught, "ema")
    second = taught.teachers[0]
    assert (mixture.teacher_digest, mixture.further_teacher_digests) == (taught.teacher.weights_digest, (second.weights_digest,))
    assert (alone.teacher_digest, alone.further_teacher_digests) == (None, ())
    assert b"further_teacher_digests" not in alone.canonical_json()
    assert set(load_network(workspace, alone).state_dict()) == set(
        TrainingRun(workspace, taught.recipe.student_training("ema", 0)).begin().state_dict()
    )


def test_a_student_is_born_again_of_the_finished_student_of_its_seed(taught, workspace):
    kd = trained(workspace, taught, "kd")
    again = trained(workspace, replace(taught, students=(kd,)), "again")
    assert again.teacher_digest == kd.weights_digest
    assert again.weights_digest != kd.weights_digest
    with pytest.raises(KnowledgeError) as caught:
        trained(workspace, taught, "again")
    assert caught.value.code == "TEACHER_MISSING"


def setup_of(workspace, result, arm):
    spec = result.recipe.student_training(arm, 0)
    networks, stored = teachers_of(result, result.recipe, arm, 0), knowledge_for(result, spec.objective)
    return setup_training(TrainingRun(workspace, spec), student_cohort(workspace, spec, result.cohorts), networks, stored, result.cohorts)


def source_of(workspace, taught, arm, **changes):
    spec = taught.recipe.student_training(arm, 0)
    spec = spec.model_copy(update={"objective": spec.objective.model_copy(update=changes)})
    run = TrainingRun(workspace, spec)
    networks = teachers_of(taught, taught.recipe, arm, 0)
    return setup_training(run, student_cohort(workspace, spec, taught.cohorts), networks, None, taught.cohorts).source(
        spec.objective.attribution_source
    )


def test_sources_are_put_together_as_the_arm_says(taught, workspace):
    mixture = source_of(workspace, taught, "mixture")
    assert isinstance(mixture, MixtureSource)
    assert mixture.weighting == "validation"
    assert isinstance(source_of(workspace, taught, "ema"), EmaSource)
    peer = source_of(workspace, taught, "peer").members["peer"]
    assert isinstance(peer, PeerSource)
    first = TrainingRun(workspace, taught.recipe.student_training("peer", 0)).begin()
    assert any(not torch.equal(a, b) for a, b in zip(peer.network.state_dict().values(), first.state_dict().values(), strict=True))
    controlled = source_of(workspace, taught, "mixture", attribution_source=AttributionSource.RANDOM_TEACHER)
    assert isinstance(controlled, ControlledSource)
    assert controlled.random_teacher is not None


def test_folds_answer_only_for_patients_that_they_have_not_seen(taught, workspace, cohorts):
    source = source_of(workspace, taught, "folds")
    assert isinstance(source, FoldSource)
    folds = patient_folds(patients_of(cohorts, ["teacher_train"], workspace.store), 2)
    assert source.held_out == tuple(frozenset(patient_codes(fold).tolist()) for fold in folds)
    with pytest.raises(KnowledgeError, match="training cases") as caught:
        several_teachers(
            TeachersRequest(
                workspace, taught.recipe.student_training("folds", 0), None, None, teachers_of(taught, taught.recipe, "folds", 0), None
            ),
            None,
        )
    assert caught.value.code == "FOLD_UNKNOWN"


def test_a_teacher_that_was_not_measured_cannot_be_weighed(taught, workspace):
    bare = replace(taught, verdicts=tuple(verdict.model_copy(update={"class_figures": {}}) for verdict in taught.verdicts))
    with pytest.raises(KnowledgeError) as caught:
        source_of(workspace, bare, "mixture")
    assert caught.value.code == "TEACHER_UNMEASURED"


@pytest.fixture(scope="module")
def known(taught, workspace):
    return with_knowledge(taught, [extract_knowledge(*call) for call in knowledge_calls(workspace, taught)])


def test_each_teacher_is_asked_by_itself_and_a_student_learns_as_from_the_live_ones(known, workspace):
    assert [one.teacher_digest for one in known.further_knowledge] == [one.weights_digest for one in known.teachers[1:3]]
    stored, live = trained(workspace, known, "stored"), trained(workspace, known, "live")
    assert (stored.teacher_digest, stored.further_teacher_digests) == (live.teacher_digest, live.further_teacher_digests)
    setups = [setup_of(workspace, known, arm) for arm in ("stored", "live")]
    drawn = [one.cohort.draw(torch.arange(6), known.recipe.task, known.recipe.student.fit, torch.Generator()) for one in setups]
    assert set(drawn[0].teacher) == {"0|logits", "1|logits", "2|logits"}
    answers = [one.source(AttributionSource.TEACHER).for_batch(sample) for one, sample in zip(setups, drawn, strict=True)]
    # Logits of a classification are stored as they are, and nothing is mirrored.
    torch.testing.assert_close(answers[0].log_probabilities(), answers[1].log_probabilities(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(answers[0].logits(), answers[1].logits(), atol=1e-5, rtol=1e-5)
    values = [load_network(workspace, one).state_dict() for one in (stored, live)]
    for name, value in values[0].items():
        # The same student, but for the order of sums, which four steps of Adam enlarge.
        torch.testing.assert_close(value, values[1][name], atol=5e-3, rtol=5e-3)


def test_what_other_teachers_stored_is_refused(known, workspace):
    spec = known.recipe.student_training("stored", 0)
    run, cohort = TrainingRun(workspace, spec), student_cohort(workspace, spec, known.cohorts)
    networks, own = teachers_of(known, known.recipe, "stored", 0), knowledge_for(known, spec.objective)
    swapped = KnowledgeSet(parts=(own.parts[0], own.parts[2], own.parts[1]))
    with pytest.raises(KnowledgeError, match="in the arm's order") as caught:
        setup_training(run, cohort, networks, swapped, known.cohorts)
    assert caught.value.code == "KNOWLEDGE_FOREIGN"
    with pytest.raises(KnowledgeError) as caught:
        setup_training(run, cohort, None, own.parts[0][1], known.cohorts)
    assert caught.value.code == "KNOWLEDGE_MISSING"
    # A state of training under these teachers is not that of training under others.
    keys = {
        run._state_key(setup_training(run, cohort, networks, parts, known.cohorts), "c", 1)
        for parts in (own, KnowledgeSet(parts=tuple((name, one.model_copy(update={"measured": {"kl": 1.0}})) for name, one in own.parts)))
    }
    assert len(keys) == 2


def test_a_refused_teacher_stops_the_arms_that_ask_it_and_no_others(taught, caplog):
    from medkd.recipe_calls.training_calls import say_stopped, stopped_arms

    finding = GateFinding(requirement="min_auc", measured=0.4, bound=0.9, holds=False)
    refused = taught.verdicts[1].model_copy(update={"enforced": True, "findings": (finding,)})
    result = replace(taught, verdicts=(taught.verdicts[0], refused, *taught.verdicts[2:]))
    assert set(stopped_arms(result)) == {"second", "mixture"}
    say_stopped(result)
    assert "arm mixture is not trained" in caplog.text
    left = {call[1].arm for number in range(2) for call in student_calls(SimpleNamespace(), result, number)}
    assert left == set(taught.recipe.arms) - {"second", "mixture"}
