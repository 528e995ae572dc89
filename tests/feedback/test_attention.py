"""Where maps lie, against sums by hand; figures over seeds whose cohorts differ."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import safetensors.torch
import torch

from data_contracts import AttentionValues, Checkpoint, DirectedRegion, FeedbackDirectives, Ref, Role, StudyDirective
from medkd.attribution._attribute import attribute
from medkd.cohorts.case_directives import CaseDirectives
from medkd.cohorts.open_cohort import open_pictures
from medkd.feedback.attention import Attention, measure_attention, shares_of
from medkd.models._build import build_network, specify_network
from medkd.storage.store import write_bytes
from medkd.targets import class_margin
from medkd.volumes.voxel_masks import mask_of


def values(seed, cases, inside, outside, parts=None):
    return AttentionValues(
        weights_digest="a" * 64, seed=seed, explainer="cam", case_keys=cases, patient_keys=tuple(f"p-{case}" for case in cases),
        parts=parts or ("eval",) * len(cases), inside=inside, outside=outside,
    )  # fmt: skip


@pytest.fixture(scope="module")
def student(workspace, recipe):
    """Return an untrained student, stored as a trained one is."""
    spec = specify_network(recipe.student.network, recipe.task)
    network = build_network(spec, seed=5).eval()
    payload = safetensors.torch.save({name: value.contiguous() for name, value in network.state_dict().items()})
    digest = hashlib.sha256(payload).hexdigest()
    write_bytes(workspace.store.root / "models/untrained.safetensors", payload)
    ref = Ref(store=workspace.store.name, key="models/untrained.safetensors", sha256=digest)
    found = Checkpoint(
        role=Role.STUDENT, arm="kd", seed=0, network=spec, task=recipe.task, weights=ref, weights_digest=digest, cohort_digest="",
        recipe_digest="b" * 64, parameters=1, epochs=1,
    )  # fmt: skip
    return network, found


def test_shares_are_those_of_the_absolute_map_in_label_and_forbidden_voxels(student, workspace, recipe, cohorts):
    network, _ = student
    cohort = open_pictures(cohorts, "student_train/0", workspace.store, recipe.task).select(torch.arange(3))
    corner = torch.zeros(cohort.images.shape[2:], dtype=torch.uint8)
    corner[:10, :20] = 100
    directed = CaseDirectives(torch.ones(3), torch.ones(3), (corner, None, corner))
    blind = torch.tensor([True, True, False])
    cohort = type(cohort)(**{**vars(cohort), "directives": directed, "has_mask": blind})
    answer = network(cohort.images).argmax(1)
    maps = attribute(network, cohort.images, class_margin(answer), explainer="cam").abs().double()
    inside, outside = shares_of(network, cohort, "cam")
    for row in range(3):
        own, marked = maps[row], cohort.masks[row] > 0
        expected = own[marked].sum() / own.sum() if blind[row] else own[corner == 0].sum() / own.sum()
        assert float(inside[row]) == pytest.approx(float(expected), rel=1e-5)
        if row != 1:
            assert float(outside[row]) == pytest.approx(float(own[:10, :20].sum() / own.sum()), rel=1e-5)
    assert bool(outside[1].isnan())


def test_reviewed_cases_of_a_students_own_cohorts_are_measured_each_once(student, workspace, recipe, cohorts):
    _, checkpoint = student
    own, held, strange = (
        open_pictures(cohorts, subset, workspace.store, recipe.task) for subset in ("student_train/0", "test", "teacher_train")
    )
    voxels = np.ones((1, *own.images.shape[2:]), dtype=bool)
    region = DirectedRegion(meaning="forbidden", voxels=mask_of(voxels), factor=1.0)
    chosen = [(own.cases[0], "train"), (held.cases[1], "eval"), (strange.cases[0], "train")]
    directed = FeedbackDirectives(
        log_head="a" * 64, entries=1, used=(),
        studies=tuple(
            StudyDirective(study_key=case.case_key, case_key=case.case_key, patient_key=case.patient_key, part=part, regions=(region,))
            for case, part in chosen
        ),
    )  # fmt: skip
    found = measure_attention(workspace, checkpoint, cohorts, directed, "cam")
    assert found.case_keys == (own.cases[0].case_key, held.cases[1].case_key)
    assert found.parts == ("train", "eval")
    assert found.outside == pytest.approx((1.0, 1.0))
    nobody = FeedbackDirectives(log_head="a" * 64, entries=1, used=(), studies=())
    assert measure_attention(workspace, checkpoint, cohorts, nobody, "cam").case_keys == ()


def test_figures_are_means_over_seeds_of_the_cases_that_each_has():
    both = Attention([values(0, ("a", "b"), (0.2, None), (0.5, 0.3)), values(1, ("b", "c"), (0.4, 0.6), (0.1, None))])
    assert both.array("inside").shape == (2, 3)
    figures = both.figures()
    assert figures.studies == 3
    assert figures.inside.mean == pytest.approx((0.2 + 0.5) / 2)
    assert figures.outside.mean == pytest.approx((0.4 + 0.1) / 2)


def test_parts_are_kept_apart_and_differences_are_paired():
    cases, parts = ("a", "b", "c"), ("eval", "train", "eval")
    after = [values(0, cases, (0.5, 0.9, 0.7), (0.1, 0.0, 0.2), parts)]
    before = [values(0, cases, (0.4, 0.1, 0.4), (0.4, 0.9, 0.6), parts)]
    eval_only = Attention(after, ("eval",)), Attention(before, ("eval",))
    assert list(eval_only[0].patients) == ["a", "c"]
    assert eval_only[0].difference(eval_only[1], "inside").mean == pytest.approx(0.2)
    assert eval_only[0].difference(eval_only[1], "outside").mean == pytest.approx(-0.35)
    nothing = Attention([values(0, (), (), ())])
    assert nothing.figures().studies == 0
    assert nothing.difference(nothing, "inside") is None
