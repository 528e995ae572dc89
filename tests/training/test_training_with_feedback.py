"""Training that follows directives: nothing changes without them, and each weight reaches the terms that it is meant for."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch

from data_contracts import DirectedRegion, FeedbackDirectives, LossTerm, StudyDirective
from medkd.cohorts.open_cohort import open_for_training
from medkd.feedback.next_student import taught_spec
from medkd.knowledge.interface import LiveKnowledge
from medkd.storage.stage import stage_key
from medkd.trace import layer_map_of, trace
from medkd.training.objective import Objective
from medkd.training.train import distill, train_teacher
from medkd.volumes.voxel_masks import mask_of


def directives(*studies):
    return FeedbackDirectives(log_head="a" * 64, entries=1, used=(), studies=studies)


def said(case, *, part="train", regions=(), explanation=1.0, prediction=1.0):
    return StudyDirective(
        study_key=case.case_key, case_key=case.case_key, patient_key=case.patient_key, part=part, regions=regions,
        explanation_weight=explanation, prediction_weight=prediction,
    )  # fmt: skip


@pytest.fixture(scope="module")
def training(workspace, recipe, cohorts):
    """Return the specification of a student, its cohort, and what trains it with and without directives."""
    spec, teacher = recipe.student_training("kd", 0), train_teacher(workspace, recipe.teacher_training(), cohorts)
    cohort = open_for_training(cohorts, "student_train/0", workspace.store, recipe.task)
    return spec, cohort, lambda own=spec, directed=None: distill(workspace, own, cohorts, teacher, None, directed)


def corner(size):
    voxels = np.zeros((1, *size), dtype=bool)
    voxels[0, :12, :12] = True
    return DirectedRegion(meaning="forbidden", voxels=mask_of(voxels), factor=1.0)


def test_without_directives_and_with_directives_that_say_nothing_training_is_the_same_bit_by_bit(training, workspace, recipe, cohorts):
    spec, cohort, train = training
    plain = distill(workspace, spec, cohorts, train_teacher(workspace, recipe.teacher_training(), cohorts))
    silent = train(directed=directives(*(said(case) for case in cohort.cases[:5])))
    assert plain.weights_digest == silent.weights_digest
    assert (plain.feedback, silent.feedback is None) == (None, False)
    assert "feedback" not in plain.canonical_json().decode()
    drawn = cohort.draw(torch.arange(2), recipe.task, spec.fit, torch.Generator())
    assert (drawn.weights, drawn.explanation_weights, drawn.forbidden) == (None, None, None)


def test_what_readers_forbid_changes_the_student_and_is_in_the_key_of_its_stage(training):
    spec, cohort, train = training
    directed = directives(*(said(case, regions=(corner(cohort.images.shape[2:]),), explanation=0.0) for case in cohort.cases[:8]))
    taught = taught_spec(spec, directed)
    assert [term.loss for term in taught.objective.terms] == ["logit_kd", "right_for_the_right_reasons"]
    assert taught_spec(spec, directives(said(cohort.cases[0]))) == spec
    after, before = train(taught, directed), train()
    assert after.weights_digest != before.weights_digest
    assert after.feedback == directed.digest()
    assert after.run_name == f"kd-0-{directed.digest()[:8]}"
    assert train(taught, directed) == after
    function = inspect.unwrap(distill)
    keys = {stage_key("distill", function.__module__, {"spec": taught, "directives": one}) for one in (directed, directives(), None)}
    assert len(keys) == 3


def test_a_case_that_waits_for_a_new_label_does_not_teach(training):
    _, cohort, train = training
    doubted = directives(*(said(case, prediction=0.0, explanation=0.0) for case in cohort.cases[:6]))
    judging = directives(*(said(case, part="eval") for case in cohort.cases[:6]))
    assert len({train(directed=directed).weights_digest for directed in (doubted, judging, None)}) == 3


def test_weights_reach_the_terms_that_they_are_meant_for(make_network, make_sample):
    """Each term against itself on the cases that should count alone."""
    network, teacher, sample = make_network().eval(), make_network(1).eval(), make_sample(4)
    forbidden = (sample.masks == 0).to(torch.uint8) * 100
    directed = replace(
        sample, weights=torch.tensor([1.0, 1.0, 0.0, 0.0]), explanation_weights=torch.tensor([1.0, 0.0, 0.0, 0.0]), forbidden=forbidden
    )
    terms = tuple(LossTerm(loss=name) for name in ("cross_entropy", "logit_kd", "attribution_transfer", "right_for_the_right_reasons"))
    found = _values(network, teacher, directed, terms)
    plain = replace(sample, forbidden=forbidden)
    for loss, count in (("cross_entropy", 2), ("logit_kd", 2), ("attribution_transfer", 1), ("right_for_the_right_reasons", 4)):
        alone = _values(network, teacher, plain.rows(slice(count)), (LossTerm(loss=loss),))
        assert found[loss] == pytest.approx(alone[loss], abs=1e-5), loss


def _values(network, teacher, sample, terms):
    kept = trace(network, sample.inputs, layers=(layer_map_of(network).cam_layer,))
    return {name: float(value) for name, value in Objective(terms)(kept, LiveKnowledge(teacher, sample.inputs), sample)[1].items()}
