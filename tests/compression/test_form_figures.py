"""Figures of forms against values that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import FormAnswers, Ref
from medkd.compression.form_figures import AnsweredForm, answered, map_figures, masks_of, task_figures
from medkd.storage.store import Store

REF = Ref(store="run", key="k", sha256="a" * 64)
PATIENTS = ("p", "p", "q", "r")


def form(task, figure="dice", gaps=None, counts=None, labels=()):
    arrays = {
        "task": np.array(task),
        "gaps": np.zeros((4, 15)) if gaps is None else np.array(gaps),
        "counts": np.ones(4) if counts is None else np.array(counts),
    }
    record = FormAnswers(name="f", seed=0, figure=figure, patients=PATIENTS, labels=labels, arrays=REF)
    return AnsweredForm((record,), (arrays,))


def test_a_loss_is_the_mean_of_differences_on_the_same_patients():
    found = task_figures(form([0.5, 0.7, 0.6, 0.8]), form([0.6, 0.8, 0.7, 0.9]))
    assert found["task"].mean == pytest.approx(0.65)
    lost = found["task_difference"]
    assert (lost.mean, lost.low, lost.high) == pytest.approx((-0.1,) * 3)  # every patient loses the same: paired, there is no spread
    assert lost.n == 3


def test_of_classifiers_the_figure_is_the_area_under_the_curve():
    labels = (0, 1, 0, 1)
    found = task_figures(form([0.1, 0.9, 0.2, 0.15], "auc", labels=labels), form([0.1, 0.9, 0.2, 0.8], "auc", labels=labels))
    assert found["task"].mean == pytest.approx(0.75)  # one of the four pairs is the wrong way round
    assert found["task_difference"].mean == pytest.approx(-0.25)


def test_the_calibration_error_is_summed_within_bins_before_its_size_counts():
    gaps = np.zeros((4, 15))
    gaps[:, 3] = (0.2, -0.2, 0.4, 0.0)  # three quarters of the gaps cancel
    gaps[0, 9] = -0.3
    found = task_figures(form([1.0] * 4, gaps=gaps, counts=[2, 1, 1, 1]), form([1.0] * 4))
    assert found["calibration"].mean == pytest.approx((0.4 + 0.3) / 5)
    assert found["calibration_difference"].mean == pytest.approx(0.14)


def test_seeds_of_a_candidate_are_averaged_beside_the_one_version():
    one, two, version = form([0.5] * 4), form([0.7] * 4), form([0.6] * 4)
    both = AnsweredForm(one.answers + two.answers, one.arrays + two.arrays)
    found = task_figures(both, version)
    assert found["task"].mean == pytest.approx(0.6)
    assert found["task_difference"].mean == pytest.approx(0.0)
    assert found["task_difference"].low == pytest.approx(-0.1)


def test_a_figure_that_is_defined_for_no_case_is_left_out():
    found = task_figures(form([np.nan] * 4), form([np.nan] * 4))
    assert found["task"] is None
    assert found["task_difference"] is None


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "run")


def with_maps(store, maps, answers, name="f"):
    arrays = store.write_tensors(f"{name}-a", {"task": torch.ones(2), "gaps": torch.zeros(2, 15), "counts": torch.ones(2)})
    kept = store.write_tensors(f"{name}-m", {"maps": maps, "answers": answers})
    return answered(store, (FormAnswers(name=name, seed=0, figure="dice", patients=("p", "q"), arrays=arrays, maps=kept),))


def test_the_same_maps_agree_wholly_and_turned_ones_do_not(store):
    maps = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    version = with_maps(store, maps, torch.ones(2, dtype=torch.uint8), "v")
    same = map_figures(store, with_maps(store, maps * 3, torch.zeros(2, dtype=torch.uint8)), version, torch.ones(2, 6, 6))
    assert [same[name].mean for name in ("map_rank_correlation", "map_sign_stability", "map_lesion_share")] == pytest.approx([1, 1, 0])
    turned = map_figures(store, with_maps(store, -maps, torch.zeros(2, dtype=torch.uint8), "t"), version, None)
    assert [turned[name].mean for name in ("map_rank_correlation", "map_sign_stability")] == pytest.approx([-1, 0])
    assert turned["map_lesion_share"] is None


def test_a_form_whose_map_has_gone_flat_in_a_case_is_blinder_and_not_judged_by_the_other(store):
    maps = torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    version, flat = with_maps(store, maps, torch.ones(2, dtype=torch.uint8), "v"), maps.clone()
    flat[:1] = 0.0
    mask = torch.zeros(2, 6, 6)
    mask[:, 2:4, 1:5] = 1
    found = map_figures(store, with_maps(store, flat, torch.ones(2, dtype=torch.uint8)), version, mask)
    assert found["map_rank_correlation"].mean == pytest.approx(0.5)
    positive = (maps[:1, 1] - maps[:1, 0]).clamp_min(0)
    lost = (positive * mask[:1]).flatten(1).sum(1) / positive.flatten(1).sum(1)
    assert found["map_lesion_share"].mean == pytest.approx(-float(lost.sum()) / 2)
    # Where the version's own map says nothing there is nothing to keep.
    nothing = with_maps(store, torch.zeros(2, 2, 6, 6), torch.ones(2, dtype=torch.uint8), "n")
    assert map_figures(store, with_maps(store, flat, torch.ones(2, dtype=torch.uint8), "g"), nothing, mask)["map_rank_correlation"] is None


def test_the_lesion_share_is_of_the_positive_map_and_the_version_s_is_taken_away(store):
    version, form_map = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 1, 4)
    version[:, 1, 0] = torch.tensor([3.0, 1.0, -5.0, 0.0])
    form_map[:, 1, 0] = torch.tensor([1.0, 3.0, -9.0, 0.0])
    mask = torch.tensor([[[1, 0, 0, 0]]]).repeat(2, 1, 1)
    ones = torch.ones(2, dtype=torch.uint8)
    found = map_figures(store, with_maps(store, form_map, ones), with_maps(store, version, ones, "v"), mask)
    assert found["map_lesion_share"].mean == pytest.approx(0.25 - 0.75)


def test_of_segmentations_each_class_that_the_version_answers_is_explained_against_the_background(store):
    """Class 2 is answered nowhere: however its maps differ, nothing is said of them."""
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    other = maps.clone()
    other[:, 2] = -maps[:, 2]
    answers = torch.zeros(2, 4, 4, dtype=torch.uint8)
    answers[:, 0] = 1
    found = map_figures(store, with_maps(store, other, answers), with_maps(store, maps, answers, "v"), None)
    assert found["map_rank_correlation"].mean == pytest.approx(1.0)
    nobody = torch.zeros(2, 4, 4, dtype=torch.uint8)
    assert (
        map_figures(store, with_maps(store, other, nobody, "n"), with_maps(store, maps, nobody, "w"), None)["map_rank_correlation"] is None
    )


def test_without_maps_nothing_is_said_of_them(store):
    version = form([1.0] * 4)
    assert set(map_figures(store, version, version, None).values()) == {None}


def test_masks_count_where_somebody_marked_something():
    marked, known = torch.ones(2, 3, 3), torch.tensor([True, False])
    assert masks_of(marked, known) is marked
    assert masks_of(marked, torch.tensor([False, False])) is None
    assert masks_of(torch.zeros(2, 3, 3), known) is None
